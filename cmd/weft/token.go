package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gofrs/flock"
	"github.com/spf13/cobra"

	"github.com/weftmpc/weft/gateway/access"
)

const (
	tokenShortest = time.Minute
	tokenLongest  = 366 * 24 * time.Hour
	tokenKept     = 90 * 24 * time.Hour // after its end, so that the list can say what an id in an old log was
)

func (p *program) tokenCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "token",
		Short: "Make, list and revoke the access tokens of a node's gateway",
		Long: `Makes, lists and revokes the tokens by which people and programs may use this party's gateway, where the node's
configuration has gateway.access.tokens: true. Run it on the node's machine as the node's own user. The node may run: it
sees a change within a second. For a gateway that is a process of its own, name its configuration instead of the node's.`,
		Example: "  weft token ls --config node.yaml",
	}, p.tokenCreateCommand(), p.tokenListCommand(), p.tokenRevokeCommand())
}

func (p *program) tokenCreateCommand() *cobra.Command {
	var file, name, role, expires string
	var another bool
	c := &cobra.Command{
		Use:   "create --name NAME --role ROLE",
		Short: "Make a token and show it, this once",
		Long: `Makes a token and writes it to standard output. It cannot be shown again: the node keeps its SHA-256 hash alone.

What is made with a token belongs to its name: jobs and uploads of token:anna are anna's, with whichever token of that name.
A second token of a name wants --another, so that two people do not get one name by accident.

Roles: viewer reads descriptions, parties and what is its own; analyst computes; data-owner also sees all jobs, may
cancel them, and approves those that wait for it; admin may do everything. gateway/README.md has the table.`,
		Example: `  weft token create --config node.yaml --name anna --role analyst --expires 90d`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := access.ParseRole(role)
			if err != nil {
				return usageError("--role: %w", err)
			}
			if err := access.CheckName(name); err != nil {
				return usageError("--name: %w", err)
			}
			valid, err := parseDays(expires)
			if err != nil || valid < tokenShortest || valid > tokenLongest {
				return usageError("--expires %q: write days or hours like 90d or 12h; between 1m and 366d are possible", expires)
			}
			var text string
			var made access.Token
			at, err := p.changeTokens(c.Context(), file, func(list []access.Token, now time.Time) ([]access.Token, error) {
				if !another && slices.ContainsFunc(list, func(t access.Token) bool { return t.Name == name && t.State(now) == "active" }) {
					return nil, withHint(fmt.Errorf("there is a token named %s already", name), "choose another name; or give --another, if this one is for the same owner")
				}
				var err error
				if made, text, err = access.NewToken(name, r, now, valid); err != nil {
					return nil, err
				}
				return append(list, made), nil
			})
			if err != nil {
				return err
			}
			if !at.on {
				fmt.Fprintf(p.stderr, "weft: %s does not have gateway.access.tokens: true yet, so that no token counts\n", file)
			}
			fmt.Fprintf(p.stderr, "weft: token %s of %s, %s, until %s; it is shown this once:\n", made.ID, made.Name, made.Role, clock(made.Expires))
			_, err = fmt.Fprintln(p.stdout, text)
			return err
		},
	}
	fl := c.Flags()
	fl.SortFlags = false
	configFlag(c, &file)
	fl.StringVar(&name, "name", "", "whose it is: up to 63 of a-z, 0-9, dots, hyphens and underscores")
	fl.StringVar(&role, "role", "", "viewer, analyst, data-owner or admin")
	fl.StringVar(&expires, "expires", "90d", "how long it counts, in days or hours like 90d or 12h, at most 366d")
	fl.BoolVar(&another, "another", false, "also where there is a token of that name: both have the same owner")
	return c
}

func configFlag(c *cobra.Command, into *string) {
	c.Flags().StringVar(into, "config", "node.yaml", "the configuration file of the node, or of a gateway that is a process of its own")
}

func (p *program) tokenListCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the tokens, without their secrets",
		Long:    "Lists the tokens without their secrets, which nobody has. Ended ones stay in the list for 90 days.",
		Example: "  weft token ls --config node.yaml",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			at, err := p.tokensOf(file)
			if err != nil {
				return err
			}
			list, err := loadTokens(at.state)
			if err != nil {
				return err
			}
			if len(list) == 0 {
				_, err := fmt.Fprintln(p.stderr, "weft: this gateway has no tokens")
				return err
			}
			table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "ID\tNAME\tROLE\tSTATE\tCREATED\tEXPIRES")
			for _, t := range list {
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, t.Name, t.Role, t.State(p.now()), clock(t.Created), clock(t.Expires))
			}
			return table.Flush()
		},
	}
	configFlag(c, &file)
	return c
}

func (p *program) tokenRevokeCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:     "revoke ID",
		Short:   "End a token at once",
		Long:    "Ends a token: a running node refuses it within a second. Jobs that were accepted go on; a data owner can cancel them.",
		Example: "  weft token revoke 5f0c27a9b31e --config node.yaml",
		Args:    oneArgument("ID", "`weft token ls` lists the tokens"),
		RunE: func(c *cobra.Command, args []string) error {
			id := args[0]
			if access.IsToken(id) { // somebody pastes the whole token; the message must not repeat it
				id = strings.Split(id, "_")[1]
			}
			var revoked access.Token
			_, err := p.changeTokens(c.Context(), file, func(list []access.Token, now time.Time) ([]access.Token, error) {
				i := slices.IndexFunc(list, func(t access.Token) bool { return t.ID == id })
				if i < 0 {
					return nil, withHint(errors.New("there is no token with this ID"), "`weft token ls` lists the tokens")
				}
				if list[i].Revoked.IsZero() {
					list[i].Revoked = now
				}
				revoked = list[i]
				return list, nil
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(p.stdout, "token %s of %s is revoked\n", revoked.ID, revoked.Name)
			return err
		},
	}
	configFlag(c, &file)
	return c
}

// parseDays reads 90d, or a duration with a smaller unit.
func parseDays(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(s)
}

func loadTokens(state string) ([]access.Token, error) {
	b, err := readTokens(state)
	if err != nil {
		return nil, err
	}
	list, err := access.ParseTokens(b)
	if err != nil {
		return nil, withHint(fmt.Errorf("%s: %w", filepath.Join(state, fileTokens), err), "restore it from a backup; or remove it and make all tokens anew")
	}
	return list, nil
}

// tokenWait is how long a change waits for another one to end.
const tokenWait = 5 * time.Second

// tokenPlace is where the tokens of a gateway are.
type tokenPlace struct {
	state string // the folder
	on    bool   // they count
}

// tokensOf is the place of the tokens of the node or gateway that file configures.
func (p *program) tokensOf(file string) (tokenPlace, error) {
	b, err := readConfig(file)
	if err != nil {
		return tokenPlace{}, err
	}
	if hasKey(b, "secret") { // which a gateway's configuration must have, and a node's has not
		c, err := loadGatewayProcess(file, p.environ())
		return tokenPlace{c.State, c.Gateway.Access.Tokens}, err
	}
	c, err := loadNode(file, p.environ())
	return tokenPlace{c.State, c.Gateway.Access.Tokens}, err
}

// changeTokens replaces the list of tokens of the gateway that file configures, one process at a time.
func (p *program) changeTokens(ctx context.Context, file string, change func([]access.Token, time.Time) ([]access.Token, error)) (tokenPlace, error) {
	at, err := p.tokensOf(file)
	if err != nil {
		return at, err
	}
	if err := os.MkdirAll(at.state, 0o700); err != nil {
		return at, fmt.Errorf("making the state folder: %w", err)
	}
	if err := checkFolder(at.state, os.Geteuid()); err != nil { // else the node could not read what is written here
		return at, err
	}
	lock := flock.New(filepath.Join(at.state, "tokens.lock"))
	within, cancel := context.WithTimeout(ctx, tokenWait)
	defer cancel()
	if _, err := lock.TryLockContext(within, lockAgain); err != nil {
		return at, errors.Join(fmt.Errorf("another command changes the tokens of %s: %w", at.state, err), lock.Close())
	}
	defer lock.Close()
	list, err := loadTokens(at.state)
	if err != nil {
		return at, err
	}
	now := p.now().UTC().Truncate(time.Second)
	list = slices.DeleteFunc(list, func(t access.Token) bool {
		end := t.Expires
		if !t.Revoked.IsZero() && t.Revoked.Before(end) {
			end = t.Revoked
		}
		return now.Sub(end) > tokenKept
	})
	if list, err = change(list, now); err != nil {
		return at, err
	}
	if len(list) > access.MaxTokens {
		return at, withHint(fmt.Errorf("there are %d tokens, and no more are possible; ended ones count for 90 days", access.MaxTokens), "use an OpenID Connect provider (gateway.access.oidc)")
	}
	return at, writeWhole(filepath.Join(at.state, fileTokens), access.FormatTokens(list), 0o600)
}
