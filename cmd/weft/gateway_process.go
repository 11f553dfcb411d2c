package main

import (
	"github.com/spf13/cobra"
)

func (p *program) gatewayCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "gateway",
		Short: "Prepare gateways that are processes of their own",
	}
	group(c)
	c.AddCommand(p.gatewayInitCommand())
	return c
}
