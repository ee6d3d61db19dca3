// Reads what the trial's docker-compose.yml hands to a container engine, where there is none.
//
//	compose project FOLDER   loads FOLDER/docker-compose.yml with FOLDER/.env as Docker Compose does, with Compose's own
//	                         code: the specification's schema, variables, references. Prints the outcome as JSON.
//	compose template FILE    fills in Dex's configuration from the environment. Dex's image has gomplate for that; here
//	                         are the same template engine and the few functions that our file uses, and no others.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/compose-spec/compose-go/v2/cli"
	"golang.org/x/crypto/bcrypt"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "compose:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 2 && args[0] == "project" {
		return project(args[1])
	}
	if len(args) == 2 && args[0] == "template" {
		return fill(os.Stdout, args[1])
	}
	return fmt.Errorf("usage: compose project FOLDER | compose template FILE")
}

func project(folder string) error {
	options, err := cli.NewProjectOptions(
		[]string{filepath.Join(folder, "docker-compose.yml")},
		cli.WithWorkingDirectory(folder),
		cli.WithEnvFiles(),
		cli.WithDotEnv,
	)
	if err != nil {
		return err
	}
	loaded, err := options.LoadProject(context.Background())
	if err != nil {
		return err
	}
	text, err := loaded.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}

type files struct{}

func (files) Read(path string) (string, error) {
	text, err := os.ReadFile(path)
	return string(text), err
}

type texts struct{}

func (texts) TrimSpace(text string) string { return strings.TrimSpace(text) }

type hashes struct{}

func (hashes) Bcrypt(password string) (string, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	return string(hash), err
}

func fill(out io.Writer, file string) error {
	environment := map[string]string{}
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		environment[name] = value
	}
	functions := template.FuncMap{
		"file":    func() files { return files{} },
		"strings": func() texts { return texts{} },
		"crypto":  func() hashes { return hashes{} },
	}
	parsed, err := template.New(filepath.Base(file)).Option("missingkey=error").Funcs(functions).ParseFiles(file)
	if err != nil {
		return err
	}
	return parsed.Execute(out, map[string]any{"Env": environment})
}
