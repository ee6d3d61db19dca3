package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

const (
	peopleBase = "ou=people,dc=example,dc=com"
	groupsBase = "ou=groups,dc=example,dc=com"
)

// person is one entry of the file. The ID is what Dex makes the `sub` of: an email may change, the person stays.
type person struct {
	ID       string   `json:"id"`
	Email    string   `json:"email"`
	Name     string   `json:"name"`
	Password string   `json:"password"`
	Groups   []string `json:"groups"`
	// Former addresses that still find the person: Dex refreshes by the name that was typed at sign-in.
	Aliases []string `json:"aliases"`
}

// entry is one object of the directory; attribute names are lower case.
type entry struct {
	dn         string
	attributes map[string][]string
}

func (p person) dn() string { return fmt.Sprintf("uid=%s,%s", ldap.EscapeDN(p.ID), peopleBase) }

func readPeople(file string) ([]person, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var organisation struct {
		People []person `json:"people"`
	}
	if err := json.Unmarshal(content, &organisation); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return organisation.People, nil
}

// entries turns people into LDAP objects: a person each, and a group for each name that somebody lists.
func entries(people []person) []entry {
	var found []entry
	members := map[string][]string{}
	for _, p := range people {
		found = append(found, entry{p.dn(), map[string][]string{
			"objectclass": {"person"},
			"uid":         {p.ID},
			"dn":          {p.dn()},
			"cn":          {p.Name},
			"mail":        {p.Email},
			"login":       append([]string{p.Email}, p.Aliases...),
		}})
		for _, group := range p.Groups {
			members[group] = append(members[group], p.dn())
		}
	}
	for group, dns := range members {
		found = append(found, entry{fmt.Sprintf("cn=%s,%s", ldap.EscapeDN(group), groupsBase), map[string][]string{
			"objectclass": {"groupofnames"},
			"cn":          {group},
			"member":      dns,
		}})
	}
	return found
}

// matches evaluates the parts of an LDAP filter that Dex writes: and, or, not, equality and presence.
func (e entry) matches(filter *ber.Packet) (bool, error) {
	switch filter.Tag {
	case ldap.FilterAnd:
		for _, part := range filter.Children {
			if ok, err := e.matches(part); !ok || err != nil {
				return false, err
			}
		}
		return true, nil
	case ldap.FilterOr:
		for _, part := range filter.Children {
			if ok, err := e.matches(part); ok || err != nil {
				return ok, err
			}
		}
		return false, nil
	case ldap.FilterNot:
		ok, err := e.matches(filter.Children[0])
		return !ok, err
	case ldap.FilterEqualityMatch:
		wanted := text(filter.Children[1])
		return slices.ContainsFunc(e.values(text(filter.Children[0])), func(value string) bool {
			return strings.EqualFold(value, wanted)
		}), nil
	case ldap.FilterPresent:
		return len(e.values(text(filter))) > 0, nil
	default:
		return false, fmt.Errorf("filter %s is not understood here", ldap.FilterMap[uint64(filter.Tag)])
	}
}

func (e entry) values(attribute string) []string { return e.attributes[strings.ToLower(attribute)] }

func text(packet *ber.Packet) string { return ber.DecodeString(packet.Data.Bytes()) }
