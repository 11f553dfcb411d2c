package access

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/goccy/go-yaml"
)

// Token is what a gateway keeps of a token: enough to recognise it, not enough to make it.
type Token struct {
	ID      string // public part, by which people name it
	Name    string // whose it is; the caller is token:NAME, so that a renewed token keeps what the old one made
	Role    Role
	Hash    [sha256.Size]byte // of the secret
	Created time.Time
	Expires time.Time
	Revoked time.Time // zero: it is not
}

// State is active, expired or revoked.
func (t Token) State(now time.Time) string {
	switch {
	case !t.Revoked.IsZero():
		return "revoked"
	case !now.Before(t.Expires):
		return "expired"
	}
	return "active"
}

// Caller is the owner of what is made with the token.
func (t Token) Caller() string { return methodToken + ":" + t.Name }

const (
	methodToken = "token"
	tokenPrefix = "weft_"
	idBytes     = 6
	secretBytes = 32

	// MaxTokens is how many tokens a list may have, ended ones included: some 50 KB. More people than that have a provider.
	MaxTokens = 200
)

var tokenName = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$`)

// CheckName refuses a name that would not be one everywhere: in logs, in commands, in stores.
func CheckName(name string) error {
	if !tokenName.MatchString(name) {
		return fmt.Errorf("%q is no name for a token: use up to 63 of a-z, 0-9, dots, hyphens and underscores, with a letter or digit at both ends", name)
	}
	return nil
}

// NewToken makes a token and its text, weft_ID_SECRET, which nobody can tell again.
func NewToken(name string, role Role, now time.Time, valid time.Duration) (t Token, text string, err error) {
	if err := CheckName(name); err != nil {
		return t, "", err
	}
	var id [idBytes]byte
	var secret [secretBytes]byte
	defer clear(secret[:])
	if _, err := rand.Read(id[:]); err != nil {
		return t, "", err
	}
	if _, err := rand.Read(secret[:]); err != nil {
		return t, "", err
	}
	now = now.UTC().Truncate(time.Second)
	t = Token{ID: hex.EncodeToString(id[:]), Name: name, Role: role, Hash: sha256.Sum256(secret[:]), Created: now, Expires: now.Add(valid)}
	return t, tokenPrefix + t.ID + "_" + base64.RawURLEncoding.EncodeToString(secret[:]), nil
}

// IsToken says whether a credential is, or claims to be, a token of weft.
func IsToken(credential string) bool { return strings.HasPrefix(credential, tokenPrefix) }

// splitToken takes a token's text apart.
func splitToken(text string) (id string, secret []byte, ok bool) {
	id, encoded, found := strings.Cut(strings.TrimPrefix(text, tokenPrefix), "_")
	if !found || len(id) != 2*idBytes || len(encoded) != base64.RawURLEncoding.EncodedLen(secretBytes) {
		return "", nil, false
	}
	secret, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	return id, secret, err == nil
}

// tokenList is tokens.yaml.
type tokenList struct {
	Version int         `yaml:"version"`
	Tokens  []tokenLine `yaml:"tokens"`
}

type tokenLine struct {
	ID      string `yaml:"id"`
	Name    string `yaml:"name"`
	Role    string `yaml:"role"`
	Hash    string `yaml:"hash"`
	Created string `yaml:"created"`
	Expires string `yaml:"expires"`
	Revoked string `yaml:"revoked"`
}

const listVersion = 1

// ParseTokens reads a list of tokens. Nothing at all is an empty list. Its errors name a line's place and never its content.
func ParseTokens(b []byte) ([]Token, error) {
	if len(bytes.TrimSpace(b)) == 0 {
		return nil, nil
	}
	if bytes.ContainsAny(b, "&*!<") || bytes.Count(b, []byte("{"))+bytes.Count(b, []byte("[")) > 1 { // what the list needs not, and the parser copes badly with
		return nil, errors.New("it is no list of tokens as `weft token` writes it")
	}
	var list tokenList
	if err := yaml.UnmarshalWithOptions(b, &list, yaml.Strict()); err != nil {
		return nil, errors.New("it is no list of tokens as `weft token` writes it")
	}
	if list.Version != listVersion {
		return nil, fmt.Errorf("its version is %d, and this program reads version %d", list.Version, listVersion)
	}
	if len(list.Tokens) > MaxTokens {
		return nil, fmt.Errorf("it has more than %d tokens", MaxTokens)
	}
	tokens, ids := make([]Token, len(list.Tokens)), map[string]bool{}
	for i, line := range list.Tokens {
		t, err := line.token()
		if err == nil && ids[t.ID] {
			err = errors.New("the id stands twice")
		}
		if err != nil {
			return nil, fmt.Errorf("tokens[%d]: %w", i, err)
		}
		tokens[i], ids[t.ID] = t, true
	}
	return tokens, nil
}

func (l tokenLine) token() (Token, error) {
	t := Token{ID: l.ID, Name: l.Name}
	if id, err := hex.DecodeString(l.ID); err != nil || len(id) != idBytes || l.ID != strings.ToLower(l.ID) {
		return t, fmt.Errorf("id: %d hexadecimal digits are expected", 2*idBytes)
	}
	if !tokenName.MatchString(l.Name) {
		return t, errors.New("name: it is none")
	}
	var err error
	if t.Role, err = ParseRole(l.Role); err != nil {
		return t, errors.New("role: it is none")
	}
	hash, err := hex.DecodeString(l.Hash)
	if err != nil || len(hash) != sha256.Size {
		return t, fmt.Errorf("hash: %d hexadecimal digits are expected", 2*sha256.Size)
	}
	copy(t.Hash[:], hash)
	for _, at := range []struct {
		key, text string
		into      *time.Time
		optional  bool
	}{{"created", l.Created, &t.Created, false}, {"expires", l.Expires, &t.Expires, false}, {"revoked", l.Revoked, &t.Revoked, true}} {
		if at.text == "" && at.optional {
			continue
		}
		if *at.into, err = time.Parse(time.RFC3339, at.text); err != nil {
			return t, fmt.Errorf("%s: a time like 2026-01-31T12:00:00Z is expected", at.key)
		}
	}
	return t, nil
}

// FormatTokens writes a list that ParseTokens reads.
func FormatTokens(tokens []Token) []byte {
	var b bytes.Buffer
	b.WriteString("# The gateway's access tokens, as SHA-256 hashes. `weft token` writes this file; a running node reads it again.\n")
	fmt.Fprintf(&b, "version: %d\ntokens:", listVersion)
	if len(tokens) == 0 {
		b.WriteString(" []")
	}
	b.WriteByte('\n')
	for _, t := range tokens {
		fmt.Fprintf(&b, "  - id: %q\n    name: %q\n    role: %q\n    hash: \"%x\"\n", t.ID, t.Name, t.Role, t.Hash)
		if !t.Revoked.IsZero() { // not last: a file that was cut must not give the token back
			fmt.Fprintf(&b, "    revoked: %q\n", stamp(t.Revoked))
		}
		fmt.Fprintf(&b, "    created: %q\n    expires: %q\n", stamp(t.Created), stamp(t.Expires))
	}
	return b.Bytes()
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Tokens is the Authenticator of weft's own tokens.
type Tokens struct {
	read func() ([]byte, error)
	now  func() time.Time

	mu     sync.Mutex
	looked time.Time // when the list was read last
	raw    []byte
	tokens map[string]Token
	err    error // why there is no list
}

// rereadAfter is how long a list counts: for so long, at most, a revoked token still works.
const rereadAfter = time.Second

// NewTokens makes an Authenticator over a list that read returns, and reads it, as ParseTokens does, whenever a request comes
// a second or more after the last reading. A list that cannot be read admits nobody: which of its tokens have been revoked
// since is not known.
func NewTokens(read func() ([]byte, error), now func() time.Time) *Tokens {
	return &Tokens{read: read, now: now}
}

// Authenticate implements Authenticator.
func (s *Tokens) Authenticate(r *http.Request) (Identity, error) {
	text, _ := Bearer(r)
	if !IsToken(text) {
		return Identity{}, ErrNone
	}
	id, secret, ok := splitToken(text)
	if !ok {
		return Identity{}, refused("the token is not complete: it has the form weft_ID_SECRET")
	}
	t, err := s.find(id)
	if err != nil {
		return Identity{}, err
	}
	hash := sha256.Sum256(secret)
	clear(secret)
	// An unknown id is compared too, with the hash of nothing that anybody knows.
	if subtle.ConstantTimeCompare(hash[:], t.Hash[:]) != 1 || t.ID == "" {
		return Identity{}, refused("there is no such token here; `weft token create` makes one")
	}
	switch t.State(s.now()) {
	case "revoked":
		return Identity{}, refused("the token has been revoked; ask this gateway's administrator for another")
	case "expired":
		return Identity{}, refused("the token has expired; ask this gateway's administrator for another")
	}
	return Identity{Caller: t.Caller(), Role: t.Role, Method: methodToken, Expires: t.Expires}, nil
}

// find looks a token up in the list as it is now; the zero Token if there is none.
func (s *Tokens) find(id string) (Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); s.looked.IsZero() || now.Sub(s.looked) >= rereadAfter || now.Before(s.looked) {
		s.reread()
		s.looked = now
	}
	return s.tokens[id], s.err
}

func (s *Tokens) reread() {
	b, err := s.read()
	if err == nil && s.err == nil && s.tokens != nil && bytes.Equal(b, s.raw) {
		return
	}
	var list []Token
	if err == nil {
		list, err = ParseTokens(b)
	}
	s.raw, s.err, s.tokens = b, err, map[string]Token{}
	if err != nil {
		s.err = fmt.Errorf("reading the list of tokens: %w", err)
		return
	}
	for _, t := range list {
		s.tokens[t.ID] = t
	}
}
