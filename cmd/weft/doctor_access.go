package main

import (
	"fmt"
	"log/slog"
	"time"
)

// access looks at who may call the gateway, and at its certificate.
func (d *doctor) access() {
	c := d.config.Gateway
	if c.Listen == "" {
		d.ok("gateway", "the node has none of its own; gateways connect to %s", d.config.Private.Listen)
		return
	}
	if c.TLS.Cert != "" {
		files := &tlsFiles{config: c.TLS, now: d.now, log: slog.New(slog.DiscardHandler)}
		if err := files.read(); err != nil {
			d.wrong("gateway", advice(err, "correct gateway.tls in "+d.file), "gateway.tls: %v", err)
			return
		}
		until := files.server.Certificates[0].Leaf.NotAfter
		text := fmt.Sprintf("%s, valid until %s", c.TLS.Cert, until.UTC().Format(time.RFC3339))
		if until.Sub(d.now()) < expirySoon {
			d.warn("gateway", "renew it; the node reads it without a restart", "%s", text)
		} else {
			d.ok("gateway", "%s", text)
		}
	}
	if _, err := c.Access.OIDC.transport(); err != nil {
		d.wrong("access", "correct gateway.access.oidc.ca in "+d.file, "gateway.access.oidc.ca: %v", err)
		return
	}
	switch {
	case c.Insecure:
		d.warn("access", "set gateway.access and gateway.tls", "whoever reaches %s can compute in this party's name (gateway.insecure_without_access_control)", c.Listen)
		return
	case !c.Access.on():
		d.ok("access", "all users of this machine may use the gateway, and nobody else")
		return
	}
	active := 0
	if c.Access.Tokens {
		list, err := loadTokens(d.config.State)
		if err != nil {
			d.wrong("access", advice(err, "run the doctor as the node's own user"), "%v", err)
			return
		}
		for _, t := range list {
			if t.State(d.now()) == "active" {
				active++
			}
		}
	}
	if active == 0 && len(c.Access.Certificates) == 0 && c.Access.OIDC.Issuer == "" {
		d.warn("access", "weft token create --config "+d.file+" --name NAME --role ROLE", "nobody may use the gateway: it wants tokens, and there is none")
		return
	}
	text := fmt.Sprintf("tokens: %d, names of certificates: %d", active, len(c.Access.Certificates))
	if c.Access.OIDC.Issuer != "" {
		text += ", provider " + c.Access.OIDC.Issuer
	}
	d.ok("access", "%s", text)
}
