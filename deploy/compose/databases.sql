-- Run once by PostgreSQL's image, when its volume is empty: a database each for Kubelend and Dex, closed to the other.
\set kubelend `cat /run/secrets/kubelend_password`
\set dex `cat /run/secrets/dex_password`
CREATE ROLE kubelend LOGIN PASSWORD :'kubelend';
CREATE DATABASE kubelend OWNER kubelend;
REVOKE CONNECT ON DATABASE kubelend FROM PUBLIC;
CREATE ROLE dex LOGIN PASSWORD :'dex';
CREATE DATABASE dex OWNER dex;
REVOKE CONNECT ON DATABASE dex FROM PUBLIC;
