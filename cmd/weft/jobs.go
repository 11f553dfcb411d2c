package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func (p *program) jobCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:     "job",
		Short:   "List, show, watch, approve and cancel the jobs of a gateway",
		Long:    "Lists, shows, watches, approves and cancels the jobs of your party's gateway. Jobs and their results are kept for a day after their end.\n\n" + exitCodes,
		Example: "  weft job ls --gateway http://127.0.0.1:55501",
	}, p.jobListCommand(), p.jobShowCommand(), p.jobWatchCommand(), p.jobResultCommand(), p.jobCancelCommand(), p.jobApproveCommand(), p.jobDenyCommand())
}

func (p *program) jobListCommand() *cobra.Command {
	var gateway string
	var format output
	var which jobFilter
	c := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the jobs, the newest first",
		Example: `  weft job ls --gateway http://127.0.0.1:55501
  weft job ls --state failed --output csv`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := p.dial(gateway)
			if err != nil {
				return err
			}
			all, err := cl.list(c.Context(), which)
			if err != nil {
				return err
			}
			switch format {
			case outputJSON:
				return printRaw(p.stdout, all.raw)
			case outputCSV:
				return jobsCSV(p.stdout, all.Jobs)
			}
			return p.listJobs(all)
		},
	}
	p.gatewayFlag(c, &gateway)
	fl := c.Flags()
	fl.StringVar(&which.state, "state", "", "only jobs in this state: submitted, held, waiting, running, done, failed or cancelled")
	fl.StringVar(&which.microprotocol, "microprotocol", "", "only jobs that compute this")
	fl.StringVar(&which.uuid, "uuid", "", "only jobs of this computation")
	fl.IntVar(&which.limit, "limit", 0, "at most so many jobs, 1000 at most (default: 100)")
	outputFlag(c, &format, "print the gateway's answer as one line of JSON")
	return c
}

func (p *program) jobShowCommand() *cobra.Command {
	var gateway, file string
	var format output
	c := &cobra.Command{
		Use:     "show ID",
		Short:   "Show one job, and its result if it has one",
		Example: "  weft job show 0d9c1f8e-5a0c-4f0c-9d7e-2b1f6a3c4d5e --gateway http://127.0.0.1:55501",
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
			if err == nil {
				err = plot.possible(j)
			}
			if err == nil && plot != nil {
				j, err = cl.withResult(c.Context(), j)
			}
			if err != nil {
				return err
			}
			drawing := plot.drawJob(cl, j) // first: who reads the output may stop reading before its end
			if format == outputTable {
				err = p.showJob(c.Context(), cl, j)
			} else {
				err = p.printJob(format, j)
			}
			if err != nil {
				return err
			}
			return drawing
		},
	}
	p.gatewayFlag(c, &gateway)
	outputFlag(c, &format, "print the job as one line of JSON; large results are left out")
	c.Flags().StringVar(&file, "plot", "", plotHelp)
	return c
}

func (p *program) jobCancelCommand() *cobra.Command {
	var gateway string
	var format output
	c := &cobra.Command{
		Use:   "cancel ID",
		Short: "Ask the node to give a job up",
		Long: `Asks the node to give a job up. A job whose result is computed and waits for the other parties' confirmations cannot be
cancelled any more, because the others may have the result already. The other parties are told: they wait for yours again,
until their deadline.

` + exitCodes + ` A job that has ended already is no failure.`,
		Example: "  weft job cancel 0d9c1f8e-5a0c-4f0c-9d7e-2b1f6a3c4d5e --gateway http://127.0.0.1:55501",
		Args:    oneArgument("ID", "`weft job ls` lists the jobs"),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := p.dialJob(gateway, args[0])
			if err != nil {
				return err
			}
			j, err := cl.cancel(c.Context(), args[0])
			if err != nil {
				return err
			}
			if format != outputTable {
				return p.printJob(format, j)
			}
			text := "is being cancelled"
			if j.State == stateHeld && j.Approval != nil && j.Approval.Verdict == "denied" {
				text = "was denied and ends; nothing to cancel"
			}
			switch j.State {
			case stateCancelled:
				text = "is cancelled"
			case stateDone, stateFailed:
				text = "has ended already (" + j.State + "); nothing to cancel"
			}
			_, err = fmt.Fprintf(p.stdout, "job %s %s\n", oneLine(j.ID), text)
			return err
		},
	}
	p.gatewayFlag(c, &gateway)
	outputFlag(c, &format, "print the job as one line of JSON")
	return c
}

// printJob writes a job for programs.
func (p *program) printJob(format output, j job) error {
	if format == outputCSV {
		return jobsCSV(p.stdout, []job{j})
	}
	return printRaw(p.stdout, j.raw)
}

// dialJob checks the address of the gateway and the form of a job's ID.
func (p *program) dialJob(gateway, id string) (*client, error) {
	if err := checkUUID("job", id); err != nil {
		return nil, withHint(err, "`weft job ls` lists the jobs")
	}
	return p.dial(gateway)
}

func (p *program) listJobs(all jobList) error {
	if len(all.Jobs) == 0 {
		_, err := fmt.Fprintln(p.stderr, "weft: this gateway has no jobs")
		return err
	}
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tMICROPROTOCOL\tSTATE\tDETAIL\tAGE")
	for _, j := range all.Jobs {
		detail := oneLine(j.Detail)
		if detail == j.State {
			detail = ""
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", oneLine(j.ID), oneLine(j.Microprotocol), oneLine(j.State), detail, age(p.now().Sub(j.Created)))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if all.More {
		_, err := fmt.Fprintln(p.stderr, "weft: there are more, older ones")
		return err
	}
	return nil
}

// showJob writes the job a line per field, and its result below.
func (p *program) showJob(ctx context.Context, c *client, j job) error {
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value = oneLine(value); value != "" {
			fmt.Fprintf(table, "%s\t%s\n", name, value)
		}
	}
	row("job", j.ID)
	row("computation", j.UUID)
	row("microprotocol", j.Microprotocol)
	row("parties", strings.Join(j.Parties, ", "))
	row("state", j.State)
	if j.Detail != j.State && j.Error == nil {
		row("detail", j.Detail)
	}
	row("waiting for", strings.Join(j.Waiting, ", "))
	row("since", clock(j.WaitingSince))
	if j.Progress.Planned > 0 {
		row("steps", fmt.Sprintf("%d of %d", j.Progress.Done, j.Progress.Planned))
	}
	if j.Attempts > 0 {
		row("attempt", fmt.Sprintf("%d of %d", j.Attempt, j.Attempts))
	}
	if j.State == stateHeld {
		q, err := c.approval(ctx, j.ID)
		if err != nil {
			return err
		}
		showRequest(row, q)
	}
	showDecision(row, j.Approval)
	row("created", clock(j.Created))
	row("started", clock(j.Started))
	row("ended", clock(j.Ended))
	row("deadline", clock(j.Deadline))
	if j.Error != nil {
		row("error", j.Error.Message)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if j.State != stateDone {
		return nil
	}
	fmt.Fprintln(p.stdout)
	return p.conclude(ctx, c, j, outputTable, nil)
}

func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// age is a duration in its largest unit: 12s, 3m, 2h, 4d.
func age(d time.Duration) string {
	switch {
	case d < 0:
		return "0s" // the gateway's clock is ahead
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
