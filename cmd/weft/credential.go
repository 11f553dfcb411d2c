package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weftmpc/weft/broker"
)

const tokenVariable = "WEFT_TOKEN"

// credentialFlags adds --token and --ca to c.
func (p *program) credentialFlags(c *cobra.Command) {
	c.Flags().StringVar(&p.token, "token", "", "@FILE with the access token of your party's gateway, or the token itself, which all users of this machine can see then (default: "+tokenVariable+")")
	p.caFlag(c)
}

func (p *program) caFlag(c *cobra.Command) {
	c.Flags().StringVar(&p.ca, "ca", "", "FILE with the certificate of the authority that issued the gateway's (default: those that this machine trusts)")
}

// maxToken bounds a token, in bytes: those of providers are large.
const maxToken = 16 << 10

// credential is the token for a gateway, "" if there is none. Errors never show it.
func (p *program) credential(u *url.URL) (string, error) {
	token, from := p.token, "--token"
	if token == "" {
		token, from = p.getenv(tokenVariable), tokenVariable
	}
	if name, isFile := strings.CutPrefix(token, "@"); isFile {
		b, err := os.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("%s: %w", from, err)
		}
		token = string(bytes.TrimSpace(b))
		clear(b)
		if token == "" {
			return "", fmt.Errorf("%s: the file %s is empty", from, name)
		}
	}
	switch {
	case token == "":
		return "", nil
	case len(token) > maxToken || strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c >= 0x7f }):
		return "", withHint(usageError("%s is no token", from), "a token is one word, such as weft_ID_SECRET; `weft token create` makes one")
	case u.Scheme != "https" && !broker.IsLoopback(u.Hostname()):
		return "", withHint(usageError("the token would travel to %s in the clear", u.Host), "write the gateway's address with https://")
	}
	return token, nil
}

// transport leads to a gateway whose certificate the authority in --ca has issued; nil: as the machine is set up.
func (p *program) transport() (http.RoundTripper, error) {
	if p.ca == "" {
		return nil, nil //nolint:nilnil // as http.Client has it
	}
	pool, err := loadPool(p.ca)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	return t, nil
}
