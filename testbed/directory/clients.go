package main

import (
	"context"
	"fmt"
	"time"

	"github.com/dexidp/dex/api/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// setClients makes each public client, or replaces the redirect URIs of the one that is there.
func setClients(dex string, ids []string, name string, redirectURIs []string) error {
	connection, err := grpc.NewClient(dex, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()

	clients := api.NewDexClient(connection)
	for _, id := range ids {
		if err := setClient(ctx, clients, id, name, redirectURIs); err != nil {
			return err
		}
	}
	return nil
}

func setClient(ctx context.Context, clients api.DexClient, id, name string, redirectURIs []string) error {
	created, err := clients.CreateClient(ctx, &api.CreateClientReq{
		Client: &api.Client{Id: id, Name: name, Public: true, RedirectUris: redirectURIs},
	}, grpc.WaitForReady(true))
	if err != nil {
		return fmt.Errorf("create client %s: %w", id, err)
	}
	if !created.GetAlreadyExists() {
		return nil
	}
	updated, err := clients.UpdateClient(ctx, &api.UpdateClientReq{Id: id, Name: name, RedirectUris: redirectURIs})
	if err != nil {
		return fmt.Errorf("update client %s: %w", id, err)
	}
	if updated.GetNotFound() {
		return fmt.Errorf("client %s went away", id)
	}
	return nil
}
