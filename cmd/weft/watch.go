package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

const (
	silence   = 50 * time.Second // without a sign of life, of which a stream has one every 15 s, after which it is taken for dead
	eventSize = 1 << 20          // bytes of one line of a stream
)

func (p *program) jobWatchCommand() *cobra.Command {
	var gateway string
	var format output
	c := &cobra.Command{
		Use:   "watch ID",
		Short: "Follow a job until it has ended",
		Long: `Follows a job until it has ended: at a terminal with a bar that names whom it waits for, elsewhere with a line for each
change. A gateway that was restarted is asked again. "weft job result" then prints the result.

` + exitCodes,
		Example: "  weft job watch 0d9c1f8e-5a0c-4f0c-9d7e-2b1f6a3c4d5e --gateway http://127.0.0.1:55501",
		Args:    oneArgument("ID", "`weft job ls` lists the jobs"),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := p.dialJob(gateway, args[0])
			if err != nil {
				return err
			}
			shown := &progress{w: p.stderr, width: p.width}
			last, err := p.listen(c.Context(), cl, args[0], p.teller(format, shown), shown)
			shown.clear()
			switch {
			case err != nil:
				return err
			case last.State != stateDone:
				return ended(last)
			case format == outputTable && p.width != nil:
				_, err = fmt.Fprintf(p.stdout, "%s: done\n", oneLine(last.Microprotocol))
			}
			return err
		},
	}
	p.gatewayFlag(c, &gateway)
	outputFlag(c, &format, "print each change as one line of JSON")
	return c
}

// teller is what is done with each state of a job.
func (p *program) teller(format output, shown *progress) func(job) error {
	rows, head := csv.NewWriter(p.stdout), true
	return func(j job) error {
		switch {
		case format == outputJSON:
			return printRaw(p.stdout, j.raw)
		case format == outputCSV:
			if head {
				head = false
				if err := rows.Write(jobColumns); err != nil {
					return err
				}
			}
			if err := rows.Write(j.cells()); err != nil {
				return err
			}
			rows.Flush()
			return rows.Error()
		case p.width != nil:
			shown.job(j, standing(j))
			return nil
		}
		steps := ""
		if j.Progress.Planned > 0 {
			steps = fmt.Sprintf("%d/%d ", j.Progress.Done, j.Progress.Planned)
		}
		_, err := fmt.Fprintf(p.stdout, "%s %s%s\n", stamp(p.now()), steps, oneLine(standing(j)))
		return err
	}
}

func (p *program) jobResultCommand() *cobra.Command {
	var gateway, file string
	var format output
	c := &cobra.Command{
		Use:   "result ID",
		Short: "Print the result of a job that is done",
		Long: `Prints the result of a job that is done. For one that has not ended use "weft job watch" first.

` + exitCodes,
		Example: `  weft job result 0d9c1f8e-5a0c-4f0c-9d7e-2b1f6a3c4d5e --output csv`,
		Args:    oneArgument("ID", "`weft job ls` lists the jobs"),
		RunE: func(c *cobra.Command, args []string) error {
			plot, err := openPlot(file)
			if err != nil {
				return err
			}
			cl, err := p.dialJob(gateway, args[0])
			if err != nil {
				return err
			}
			j, err := cl.get(c.Context(), args[0])
			switch {
			case err != nil:
				return err
			case !j.terminal():
				return withHint(fmt.Errorf("job %s has not ended: %s", oneLine(j.ID), oneLine(standing(j))), "weft job watch %s --gateway %s", oneLine(j.ID), quoted(cl.base))
			}
			if err := plot.possible(j); err != nil {
				return err
			}
			return p.conclude(c.Context(), cl, j, format, plot)
		},
	}
	p.gatewayFlag(c, &gateway)
	outputFlag(c, &format, "print the result as one line of JSON")
	c.Flags().StringVar(&file, "plot", "", plotHelp)
	return c
}

// listen follows the job's events until it has ended and returns it. It gives up after maxFailures without an answer.
func (p *program) listen(ctx context.Context, c *client, id string, tell func(job) error, shown *progress) (job, error) {
	var last job
	failures := 0
	for wait := firstPause; ; wait = min(2*wait, longPause) {
		before := last.Revision
		err := c.events(ctx, id, before, func(j job) error {
			last = j
			return tell(j)
		})
		switch {
		case ctx.Err() != nil:
			return last, context.Cause(ctx)
		case last.terminal() && (err == nil || !transient(err)):
			return last, err
		case err != nil && !transient(err):
			return last, err
		}
		if last.Revision != before {
			failures, wait = 0, firstPause
		}
		if failures++; failures >= maxFailures {
			return last, errors.Join(err, errors.New("the gateway tells nothing more of the job"))
		}
		if err != nil && p.width != nil {
			shown.show("the gateway does not answer; asking again (" + err.Error() + ")")
		}
		if p.pause(ctx, wait) != nil {
			return last, context.Cause(ctx)
		}
	}
}

// events reads one stream of a job's events (HTML Living Standard, §9.2). It returns nil when the stream has ended.
func (c *client) events(ctx context.Context, id string, since uint64, tell func(job) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	dead := time.AfterFunc(silence, func() { cancel(fmt.Errorf("no sign of life within %s", silence)) })
	defer dead.Stop()
	path := "/v1/jobs/" + url.PathEscape(id) + "/events"
	header := []string{"Accept", "text/event-stream, application/problem+json"}
	if since > 0 {
		header = append(header, "Last-Event-ID", strconv.FormatUint(since, 10))
	}
	answer, err := c.send(ctx, http.MethodGet, path, nil, header)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusNoContent: // it ended as was told
		return nil
	default:
		b, err := readAnswer(answer)
		if err != nil {
			return c.unreachable(ctx, http.MethodGet, path, err)
		}
		return c.refused(answer, b)
	}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(make([]byte, 0, 4<<10), eventSize)
	name, data := "", []byte(nil)
	for lines.Scan() {
		dead.Reset(silence)
		field, value, _ := bytes.Cut(lines.Bytes(), []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch {
		case len(lines.Bytes()) == 0:
			if err := c.told(name, data, tell); err != nil {
				return err
			}
			name, data = "", nil
		case string(field) == "event":
			name = string(value)
		case string(field) == "data":
			data = bytes.Clone(value) // the gateway writes one line
		}
	}
	if err := lines.Err(); err != nil {
		return c.unreachable(ctx, http.MethodGet, path, err)
	}
	return nil
}

// told passes one event on.
func (c *client) told(name string, data []byte, tell func(job) error) error {
	switch name {
	case "job":
		j := job{raw: json.RawMessage(data)}
		if err := json.Unmarshal(data, &j); err != nil || j.ID == "" || j.State == "" {
			return c.foreign(errors.New("the event is no job"))
		}
		return tell(j)
	case "deleted":
		return errors.New("the job was deleted")
	}
	return nil
}
