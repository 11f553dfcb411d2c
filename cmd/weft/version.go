package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/spf13/cobra"
)

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the versions of weft, Go and the embedded nats-server",
		Long:    "Prints the versions of weft, of the Go release that built it, and of the nats-server in it. Please add them to every report.",
		Example: "  weft version",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(p.stdout, versionText())
			return err
		},
	}
}

// version is weft's own version: v1.2.3, a pseudo-version of the commit, (devel), or unknown.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// versionText is what is known of this binary.
func versionText() string {
	var b strings.Builder
	fmt.Fprintf(&b, "weft         %s\n", version())
	if info, ok := debug.ReadBuildInfo(); ok {
		if commit := commitOf(info.Settings); commit != "" {
			fmt.Fprintf(&b, "commit       %s\n", commit)
		}
	}
	fmt.Fprintf(&b, "go           %s %s/%s\n", strings.TrimPrefix(runtime.Version(), "go"), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(&b, "nats-server  %s\n", server.VERSION)
	return b.String()
}

// commitOf is the commit that a build inside its repository knows, or "".
func commitOf(settings []debug.BuildSetting) string {
	var revision, when, changed string
	for _, s := range settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value
		case "vcs.time":
			when = " of " + s.Value
		case "vcs.modified":
			if s.Value == "true" {
				changed = ", with changes"
			}
		}
	}
	if revision == "" {
		return ""
	}
	return revision + when + changed
}
