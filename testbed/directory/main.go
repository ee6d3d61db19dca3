// Command directory is the organisation behind Dex: people and groups, served over LDAP, read from one JSON file at
// every query, so that a test changes the organisation by writing the file.
//
// LDAP and not Dex's own static passwords, because those know no groups, and what Kubelend lends to is mostly groups.
// The second subcommand keeps Dex's list of clients, over Dex's own gRPC interface: a client's redirect URIs have to
// grow while Dex runs, since every test has a Kubelend on a port of its own.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) < 2 {
		fail("usage: directory serve|client …")
	}
	command, rest := os.Args[1], os.Args[2:]
	flags := flag.NewFlagSet(command, flag.ExitOnError)
	var err error
	switch command {
	case "serve":
		listen := flags.String("listen", "", "address to serve LDAP on")
		people := flags.String("people", "", "JSON file with the people and their groups")
		_ = flags.Parse(rest)
		err = serve(*listen, *people)
	case "client":
		dex := flags.String("dex", "", "address of Dex's gRPC interface")
		var ids []string
		flags.Func("id", "client to create or change; may be given several times", func(id string) error {
			ids = append(ids, id)
			return nil
		})
		name := flags.String("name", "", "name that Dex shows")
		_ = flags.Parse(rest)
		err = setClients(*dex, ids, *name, flags.Args())
	default:
		err = fmt.Errorf("no subcommand %q", command)
	}
	if err != nil {
		fail("%v", err)
	}
}

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "directory: "+format+"\n", arguments...)
	os.Exit(1)
}
