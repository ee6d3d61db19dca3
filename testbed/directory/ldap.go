package main

import (
	"log"
	"strings"

	"github.com/go-ldap/ldap/v3"
	"github.com/jimlambrt/gldap"
)

// serve answers binds and searches until it is killed.
func serve(listen, file string) error {
	if _, err := readPeople(file); err != nil {
		return err
	}
	server, err := gldap.NewServer()
	if err != nil {
		return err
	}
	mux, err := gldap.NewMux()
	if err != nil {
		return err
	}
	if err := mux.Bind(bind(file)); err != nil {
		return err
	}
	if err := mux.Search(search(file)); err != nil {
		return err
	}
	if err := server.Router(mux); err != nil {
		return err
	}
	log.Printf("directory serves %s on %s", file, listen)
	return server.Run(listen)
}

// bind checks a person's password. An empty name and password is the anonymous bind that Dex searches with.
func bind(file string) gldap.HandlerFunc {
	return func(w *gldap.ResponseWriter, r *gldap.Request) {
		answer := r.NewBindResponse(gldap.WithResponseCode(gldap.ResultInvalidCredentials))
		defer func() { _ = w.Write(answer) }()
		message, err := r.GetSimpleBindMessage()
		if err != nil {
			log.Printf("bind: %v", err)
			return
		}
		people, err := readPeople(file)
		if err != nil {
			log.Printf("bind: %v", err)
			answer.SetResultCode(gldap.ResultUnavailable)
			return
		}
		if message.UserName == "" && message.Password == "" {
			answer.SetResultCode(gldap.ResultSuccess)
		}
		for _, p := range people {
			if p.dn() == message.UserName && p.Password != "" && p.Password == string(message.Password) {
				answer.SetResultCode(gldap.ResultSuccess)
			}
		}
	}
}

func search(file string) gldap.HandlerFunc {
	return func(w *gldap.ResponseWriter, r *gldap.Request) {
		answer := r.NewSearchDoneResponse(gldap.WithResponseCode(gldap.ResultOperationsError))
		defer func() { _ = w.Write(answer) }()
		message, err := r.GetSearchMessage()
		if err != nil {
			log.Printf("search: %v", err)
			return
		}
		filter, err := ldap.CompileFilter(message.Filter)
		if err != nil {
			log.Printf("search %s: %v", message.Filter, err)
			return
		}
		people, err := readPeople(file)
		if err != nil {
			log.Printf("search: %v", err)
			answer.SetResultCode(gldap.ResultUnavailable)
			return
		}
		for _, found := range entries(people) {
			if !strings.HasSuffix(found.dn, message.BaseDN) {
				continue
			}
			matched, err := found.matches(filter)
			if err != nil {
				log.Printf("search %s: %v", message.Filter, err)
				return
			}
			if matched {
				_ = w.Write(r.NewSearchResponseEntry(found.dn, gldap.WithAttributes(found.attributes)))
			}
		}
		answer.SetResultCode(gldap.ResultSuccess)
	}
}
