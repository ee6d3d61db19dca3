-- Which formats of kubeconfig a cluster offers: names joined by commas; NULL for all that there are.
ALTER TABLE clusters ADD COLUMN formats TEXT;
