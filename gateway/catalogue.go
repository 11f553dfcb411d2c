package gateway

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/weftmpc/weft/gateway/access"
	"github.com/weftmpc/weft/gateway/representation"
	"github.com/weftmpc/weft/simon"
)

func catalogueJSON(catalogue []simon.Microprotocol) []byte {
	return mustJSON(struct {
		Microprotocols []simon.Microprotocol `json:"microprotocols"`
	}{append([]simon.Microprotocol{}, catalogue...)}) // not null where there are none
}

// listMicroprotocols says what can be computed.
func (g *Gateway) listMicroprotocols(w http.ResponseWriter, r *http.Request) error {
	if _, err := readQuery(r); err != nil {
		return err
	}
	if err := dropBody(w, r); err != nil {
		return err
	}
	return write(w, g.catalogue)
}

// getMicroprotocol describes one microprotocol.
func (g *Gateway) getMicroprotocol(w http.ResponseWriter, r *http.Request) error {
	if _, err := readQuery(r); err != nil {
		return err
	}
	if err := dropBody(w, r); err != nil {
		return err
	}
	name := r.PathValue("name")
	if m := g.microprotocol[name]; m != nil {
		return write(w, mustJSON(*m))
	}
	return fail(http.StatusNotFound, "unknown-microprotocol", "no microprotocol here is called %s; %s", representation.Show(name), g.hint(name))
}

// hint says which microprotocol a mistyped name may stand for.
func (g *Gateway) hint(name string) string {
	var names []string
	for _, m := range g.config.Catalogue {
		names = append(names, m.Name)
	}
	if near := Nearest(name, names); near != "" {
		return "did you mean " + near + "?"
	}
	return "GET /v1/microprotocols lists what is"
}

// Facts are what the node knows of a party. What is zero or empty is not known, and left out of answers.
type Facts struct {
	Organisation string
	Seen         time.Time // when the last computation ended in which the party's messages came, since this node was started
	Expires      time.Time // end of its certificate
}

type partyView struct {
	Name         string     `json:"name"`
	URLs         []string   `json:"urls"`
	Organisation string     `json:"organisation,omitempty"`
	Seen         *time.Time `json:"last_seen,omitempty"`
	Expires      *time.Time `json:"certificate_expires,omitempty"`
}

// partyList is the answer of GET /v1/parties.
type partyList struct {
	Self    string      `json:"self"`
	Parties []partyView `json:"parties"`
	Files   string      `json:"files,omitempty"`
}

// listParties says with whom this gateway's people can compute. Whether a party is reachable now only a computation shows:
// the node sends nothing to anybody who has not asked for one.
func (g *Gateway) listParties(w http.ResponseWriter, r *http.Request) error {
	if _, err := readQuery(r); err != nil {
		return err
	}
	if err := dropBody(w, r); err != nil {
		return err
	}
	list := partyList{Self: g.config.Directory.Self(), Parties: []partyView{}}
	for _, p := range g.config.Directory.Parties() {
		v := partyView{Name: p.Name, URLs: nonNil(p.URLs)}
		if g.config.Facts != nil {
			f := g.config.Facts(p.Name)
			v.Organisation, v.Seen, v.Expires = f.Organisation, timeOrNone(f.Seen), timeOrNone(f.Expires)
		}
		list.Parties = append(list.Parties, v)
	}
	if g.config.Files != nil && principalOf(r.Context()).role >= access.Analyst { // a path of the node's machine is no viewer's business
		list.Files = g.config.Files.Folder()
	}
	return write(w, mustJSON(list))
}

// timeOrNone is the time in UTC, nil for the zero one.
func timeOrNone(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

var _ json.Marshaler = simon.Microprotocol{} // by which mustJSON describes it
