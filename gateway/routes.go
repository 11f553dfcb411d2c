package gateway

import (
	"net/http"
	"sort"
	"strings"

	"github.com/weftmpc/weft/jobs"
)

// route is one method of one path. openapi.yaml documents each.
type route struct {
	method, path string
	serve        func(*Gateway, http.ResponseWriter, *http.Request) error
}

func routes() []route {
	return []route{
		{"GET", "/representations", (*Gateway).list},
		{"POST", "/representations", (*Gateway).create},
		{"PUT", "/representations", (*Gateway).upload},
		{"PATCH", "/representation/{id}", (*Gateway).call},
		{"GET", "/representation/{id}", (*Gateway).download},
		{"GET", "/representation/{id}/{name}", (*Gateway).attribute},
		{"DELETE", "/representation/{id}", (*Gateway).release},

		{"POST", "/v1/jobs", (*Gateway).postJob},
		{"GET", "/v1/jobs", (*Gateway).listJobs},
		{"GET", "/v1/jobs/{id}", (*Gateway).getJob},
		{"GET", "/v1/jobs/{id}/result", (*Gateway).getResult},
		{"POST", "/v1/jobs/{id}/cancel", (*Gateway).cancelJob},
		{"DELETE", "/v1/jobs/{id}", (*Gateway).deleteJob},
		{"GET", "/v1/jobs/{id}/approval", (*Gateway).getApproval},
		{"POST", "/v1/jobs/{id}/approval", (*Gateway).postApproval},
		{"GET", "/v1/jobs/{id}/events", (*Gateway).jobEvents},
		{"GET", "/v1/events", (*Gateway).events},
		{"GET", "/v1/microprotocols", (*Gateway).listMicroprotocols},
		{"GET", "/v1/microprotocols/{name}", (*Gateway).getMicroprotocol},
		{"GET", "/v1/parties", (*Gateway).listParties},
		{"GET", "/v1/services", (*Gateway).listServices},

		{"GET", "/v1/me", (*Gateway).getMe},

		{"GET", "/openapi.yaml", (*Gateway).openAPI},
		{"GET", "/docs", (*Gateway).showDocs},
		{"GET", "/problems/{name}", (*Gateway).showProblem},
		{"GET", "/healthz", (*Gateway).healthz},
		{"GET", "/readyz", (*Gateway).readyz},
		{"GET", "/metrics", (*Gateway).metricsPage},
	}
}

// resource is one path with its methods. It answers the wrong ones itself, because every answer is JSON.
type resource struct {
	gateway *Gateway
	methods map[string]route
	allow   string
}

func (g *Gateway) mux() *http.ServeMux {
	paths := map[string]*resource{}
	for _, rt := range routes() {
		if paths[rt.path] == nil {
			paths[rt.path] = &resource{gateway: g, methods: map[string]route{}}
		}
		paths[rt.path].methods[rt.method] = rt
	}
	mux := http.NewServeMux()
	for path, res := range paths {
		var allowed []string
		for m := range res.methods {
			allowed = append(allowed, m)
		}
		sort.Strings(allowed)
		res.allow = strings.Join(append(allowed, "OPTIONS"), ", ")
		mux.Handle(path, res)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		g.answerError(w, r, fail(http.StatusNotFound, "unknown-path", "there is nothing at this path; /openapi.yaml lists what there is"))
	})
	return mux
}

func (res *resource) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rt, ok := res.methods[r.Method]
	if !ok {
		w.Header().Set("Allow", res.allow)
		res.gateway.answerError(w, r, fail(http.StatusMethodNotAllowed, "wrong-method", "%s is not possible here; use %s", representationShow(r.Method), res.allow))
		return
	}
	takes(w, rt)
	if !mayChange(rt.method) {
		res.gateway.perform(w, r, rt)
		return
	}
	a := &audited{recorded: recorded{ResponseWriter: w}}
	defer res.gateway.audit(a, rt)
	res.gateway.perform(a, r, rt)
}

// perform serves a request once everything has been checked that needs no more than its header.
func (g *Gateway) perform(w http.ResponseWriter, r *http.Request, rt route) {
	r, err := g.authorize(w, r, rt)
	note(w, func(a *audited) { a.request = r })
	if err == nil {
		err = g.checkBody(r)
	}
	if err == nil {
		err = g.checkRoom(rt)
	}
	if err == nil {
		stored := g.loan()
		defer stored.giveBack()
		err = rt.serve(g, w, r.WithContext(stored.in(r.Context())))
	}
	note(w, func(a *audited) { a.ended = true })
	if err != nil {
		g.answerError(w, r, err)
	}
}

// checkRoom refuses what would be stored, and nothing else, while the disk is nearly full.
func (g *Gateway) checkRoom(rt route) error {
	if g.config.Room == nil || rt.method == "GET" || rt.method == "DELETE" || strings.HasSuffix(rt.path, "/cancel") || strings.HasSuffix(rt.path, "/approval") {
		return nil
	}
	if g.config.Room() != nil {
		return jobs.ErrFull
	}
	return nil
}
