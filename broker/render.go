package broker

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nkeys"
)

const (
	defaultMaxMemory = 64 << 20 // bytes
	defaultMaxStore  = 16 << 30 // bytes; what Provision lets the streams have fits into it
)

// Render writes the configuration of a stock nats-server. The same Config gives the same text; the key of the store is
// not in it.
func (c Config) Render() (string, error) {
	if err := c.check(); err != nil {
		return "", fmt.Errorf("describing broker %q: %w", c.Name, err)
	}
	w := &writer{}
	w.line("server_name: %s", quote(c.Name))
	if c.Listen != "" {
		w.line("listen: %s", quote(c.Listen))
	}
	if c.TLS != nil {
		c.TLS.render(w)
	}
	// One size on all brokers of a fabric, see MaxPayload.
	w.line("max_payload: %d", or(int64(c.MaxPayload), MaxPayload))
	w.line("max_pending: %d", 64<<20)     // bytes queued for one connection before it is cut
	w.line("max_control_line: %d", 1<<10) // bytes; the longest of our subjects, with a reply, needs a third of it
	w.line(`write_deadline: "10s"`)
	w.line(`ping_interval: "10s"`) // a dead link is noticed in half a minute; what was lost is asked for again
	w.line("ping_max: 2")
	w.line("authorization { timeout: 10 }") // seconds
	if c.SystemAccount != "" {
		w.line("system_account: %s", quote(c.SystemAccount))
	}
	if slices.ContainsFunc(c.Accounts, func(a Account) bool { return a.JetStream }) {
		c.renderStore(w)
	}
	w.open("accounts {")
	for _, a := range c.Accounts {
		a.render(w)
	}
	w.close("}")
	return w.String(), nil
}

func (c Config) renderStore(w *writer) {
	w.open("jetstream {")
	w.line("store_dir: %s", quote(c.StoreDir))
	w.line("max_memory_store: %d", or(c.MaxMemory, defaultMaxMemory))
	w.line("max_file_store: %d", or(c.MaxStore, defaultMaxStore))
	w.line("cipher: aes") // takes effect with a key
	if c.Power {
		w.line("sync_interval: always")
	}
	w.close("}")
}

func (t TLS) render(w *writer) {
	w.open("tls {")
	w.line("cert_file: %s", quote(t.Cert))
	w.line("key_file: %s", quote(t.Key))
	w.line("ca_file: %s", quote(t.CA))
	w.line("verify: true") // clients show a certificate of the consortium's, too
	w.line("handshake_first: true")
	w.line(`min_version: "1.3"`)
	w.line("timeout: 5") // seconds
	w.close("}")
}

func (a Account) render(w *writer) {
	w.open("%s {", quote(a.Name))
	if a.JetStream {
		w.line("jetstream: enabled")
	}
	if a.MaxConnections > 0 || a.MaxSubscriptions > 0 {
		w.open("limits {")
		w.line("max_connections: %d", bound(a.MaxConnections))
		w.line("max_subscriptions: %d", bound(a.MaxSubscriptions))
		w.close("}")
	}
	if len(a.Users) > 0 {
		w.open("users: [")
		for _, u := range a.Users {
			u.render(w)
		}
		w.close("]")
	}
	if len(a.Exports) > 0 {
		w.open("exports: [")
		for _, e := range a.Exports {
			w.line("{ %s: %s,%s accounts: %s }", kind(e.Stream), quote(e.Subject), answers(e), list(e.Accounts))
		}
		w.close("]")
	}
	if len(a.Imports) > 0 {
		w.open("imports: [")
		for _, i := range a.Imports {
			w.line("{ %s: { account: %s, subject: %s } }", kind(i.Stream), quote(i.Account), quote(i.Subject))
		}
		w.close("]")
	}
	w.close("}")
}

func (u User) render(w *writer) {
	w.open("{")
	w.line("nkey: %s", quote(u.NKey))
	w.line(`allowed_connection_types: ["STANDARD", "IN_PROCESS"]`)
	w.open("permissions: {")
	w.line("publish: %s", permission(u.Publish))
	w.line("subscribe: %s", permission(u.Subscribe))
	if u.Respond {
		w.line(`allow_responses: { max: 1, expires: "2m" }`)
	}
	w.close("}")
	w.close("}")
}

// permission says deny where nothing is allowed: an empty list of allowed subjects would allow them all.
func permission(subjects []string) string {
	if len(subjects) == 0 {
		return `{ deny: [">"] }`
	}
	return "{ allow: " + list(subjects) + " }"
}

func kind(stream bool) string {
	if stream {
		return "stream"
	}
	return "service"
}

func answers(e Export) (s string) {
	if e.Many {
		s = ` response_type: "stream",`
	}
	if e.Answer > 0 {
		s += ` response_threshold: ` + quote(e.Answer.String()) + `,`
	}
	return s
}

// bound is a limit as the server writes it: -1 is none.
func bound(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

func list(items []string) string {
	q := make([]string, len(items))
	for i, s := range items {
		q[i] = quote(s)
	}
	return "[" + strings.Join(q, ", ") + "]"
}

// quote writes a string as the configuration's lexer reads it; check has refused control characters.
func quote(s string) string {
	if strings.ContainsAny(s, `\"`) {
		s = strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `"`, `\"`)
	}
	return `"` + s + `"`
}

func or(v, otherwise int64) int64 {
	if v == 0 {
		return otherwise
	}
	return v
}

// writer indents what is between open and close.
type writer struct {
	strings.Builder
	depth int
}

func (w *writer) line(format string, args ...any) {
	for range w.depth {
		w.WriteString("  ")
	}
	fmt.Fprintf(&w.Builder, format, args...)
	w.WriteByte('\n')
}

func (w *writer) open(format string, args ...any) {
	w.line(format, args...)
	w.depth++
}

func (w *writer) close(s string) {
	w.depth--
	w.line("%s", s)
}

// check refuses what the server would misread, or read as permission for all.
func (c Config) check() error {
	if c.err != nil {
		return c.err
	}
	if !isWord(c.Name) {
		return errors.New("a broker's name is one word of letters, digits, hyphen and underscore")
	}
	if c.Listen != "" {
		if err := checkListen(c.Listen, c.TLS != nil); err != nil {
			return err
		}
	}
	if c.TLS != nil {
		for _, path := range []string{c.TLS.Cert, c.TLS.Key, c.TLS.CA} {
			if path == "" || hasControl(path) {
				return errors.New("TLS needs three files: a certificate, its key and the authority's certificate")
			}
		}
	}
	if c.MaxPayload < 0 || c.MaxMemory < 0 || c.MaxStore < 0 {
		return errors.New("a size is negative")
	}
	names, keys, users := map[string]bool{}, map[string]bool{}, 0
	for _, a := range c.Accounts {
		if names[a.Name] {
			return fmt.Errorf("account %s stands twice: no two members may have one name, and %s, %s and %s are taken", a.Name, AccountCoordinator, AccountOperators, AccountSystem)
		}
		names[a.Name] = true
	}
	for _, a := range c.Accounts {
		if err := c.checkAccount(a, names, keys); err != nil {
			return fmt.Errorf("account %q: %w", a.Name, err)
		}
		users += len(a.Users)
	}
	if c.SystemAccount != "" && !names[c.SystemAccount] {
		return fmt.Errorf("system account %q is not among the accounts", c.SystemAccount)
	}
	if users == 0 {
		return errors.New("no account has a user: such a server would let everybody in")
	}
	return nil
}

func (c Config) checkAccount(a Account, names, keys map[string]bool) error {
	switch {
	case !isWord(a.Name):
		return errors.New("an account's name is one word of letters, digits, hyphen and underscore")
	case a.JetStream && a.Name == c.SystemAccount:
		return errors.New("the system account cannot have JetStream")
	case a.JetStream && (c.StoreDir == "" || hasControl(c.StoreDir)):
		return errors.New("JetStream needs a folder (StoreDir)")
	case a.JetStream && len(c.StoreKey) > 0 && len(c.StoreKey) < minStoreKey:
		return fmt.Errorf("the key of the store has %d bytes, at least %d are needed", len(c.StoreKey), minStoreKey)
	}
	for _, u := range a.Users {
		if len(u.NKey) != 56 || !nkeys.IsValidPublicUserKey(u.NKey) { // which passes over line breaks
			return fmt.Errorf("%q is not the public key of a user, which begins with U", u.NKey)
		}
		if keys[u.NKey] {
			return fmt.Errorf("user %s stands twice: every user has a key of its own", u.NKey)
		}
		keys[u.NKey] = true
		if err := checkSubjects(append(slices.Clone(u.Publish), u.Subscribe...)...); err != nil {
			return err
		}
	}
	for _, e := range a.Exports {
		if e.Stream && (e.Many || e.Answer != 0) {
			return fmt.Errorf("export of %q is a stream, which has no answers", e.Subject)
		}
		if e.Answer < 0 {
			return fmt.Errorf("export of %q: the time for an answer is negative", e.Subject)
		}
		if len(e.Accounts) == 0 { // the server would take it as an export to all
			return fmt.Errorf("export of %q names no account", e.Subject)
		}
		if err := checkSubjects(e.Subject); err != nil {
			return err
		}
		if err := checkKnown(names, e.Accounts...); err != nil {
			return err
		}
	}
	for _, i := range a.Imports {
		if err := checkSubjects(i.Subject); err != nil {
			return err
		}
		if err := checkKnown(names, i.Account); err != nil {
			return err
		}
	}
	return nil
}

// checkListen wants host:port, and TLS for a socket that other machines can reach.
func checkListen(s string, secured bool) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("listen %q: write host:port, such as 127.0.0.1:4222: %w", s, err)
	}
	if host == "" || hasControl(host) {
		return fmt.Errorf("listen %q: name the host, 0.0.0.0 for all of this machine's addresses", s)
	}
	if n, err := strconv.Atoi(port); err != nil || n == 0 || n < -1 || n > 65535 { // the server reads 0 as 4222
		return fmt.Errorf("listen %q: the port is 1 to 65535, or -1 for any free one", s)
	}
	if !secured && !IsLoopback(host) {
		return fmt.Errorf("listen %q: without TLS only a loopback address, such as 127.0.0.1, is possible", s)
	}
	return nil
}

// IsLoopback tells whether only this machine can reach a listener on host: a name or an address without port.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func checkSubjects(subjects ...string) error {
	for _, s := range subjects {
		for rest, more := s, true; more; {
			var t string
			t, rest, more = strings.Cut(rest, ".")
			wild := t == "*" || t == ">" && !more
			if t == "" || hasControl(t) || !wild && strings.ContainsAny(t, "*> ") {
				return fmt.Errorf("%q is not a subject", s)
			}
		}
	}
	return nil
}

func checkKnown(names map[string]bool, accounts ...string) error {
	for _, a := range accounts {
		if !names[a] {
			return fmt.Errorf("account %q is not among the accounts", a)
		}
	}
	return nil
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func isWord(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}
