package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/weftws/weft"
	"github.com/weftws/weft/negotiate"
)

func newMemoryCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "memory",
		Short: "Show or forget what was found out about origins",
		Long: `A memory keeps which ways of opening a WebSocket an origin has, so that an old server costs a round trip once. weft cat uses
one with --memory FILE, programs with weft.FileMemory.`,
		Example: `  weft memory ls
  weft memory forget example.com
  weft memory export > memory.json`,
	}
	cmd.PersistentFlags().StringVar(&file, "file", defaultMemoryFile(), "the memory's file")
	open := func(cmd *cobra.Command) weft.Memory {
		return weft.FileMemory(file, func(err error) { fmt.Fprintf(cmd.ErrOrStderr(), "weft: memory: %v\n", err) })
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "ls", Short: "List the origins and what is known of them", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return listMemory(cmd, open(cmd).List()) },
		},
		&cobra.Command{
			Use: "forget (HOST | all)...", Short: "Forget origins by host", Args: cobra.MinimumNArgs(1),
			RunE: func(cmd *cobra.Command, hosts []string) error { return forgetMemory(cmd, open(cmd), hosts) },
		},
		&cobra.Command{
			Use: "export", Short: "Print everything as JSON", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(open(cmd).List())
			},
		},
	)
	return cmd
}

// defaultMemoryFile is in the user's cache folder.
func defaultMemoryFile() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "weft", "memory.json")
}

func listMemory(cmd *cobra.Command, items []negotiate.Item) error {
	now := time.Now()
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ORIGIN\tRUNG\tVERDICT\tCAUSE\tFOR\tNETWORK")
	for _, it := range items {
		origin := describeKey(it.Key)
		for _, r := range slices.Sorted(maps.Keys(it.Entry.Findings)) {
			f := it.Entry.Findings[r]
			if v := it.Entry.Verdict(r, now); v != negotiate.Forgotten {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%v\t%s\n", origin, r, v, f.Cause, f.Until.Sub(now).Round(time.Second), it.Key.Network)
			}
		}
	}
	return w.Flush()
}

// describeKey is an origin, and the proxy on the way, or what stands for a network itself.
func describeKey(k negotiate.Key) string {
	if k == negotiate.NetworkKey(k.Network) {
		return "(the network)"
	}
	s := k.Scheme + "://" + net.JoinHostPort(k.Host, k.Port)
	if k.Proxy != "" {
		s += " by " + k.Proxy
	}
	return s
}

func forgetMemory(cmd *cobra.Command, m weft.Memory, hosts []string) error {
	n := 0
	for _, it := range m.List() {
		if slices.Contains(hosts, "all") || slices.ContainsFunc(hosts, func(h string) bool { return h != "" && strings.EqualFold(h, it.Key.Host) }) {
			m.Delete(it.Key)
			n++
		}
	}
	fmt.Fprintf(cmd.OutOrStdout(), "forgot %d\n", n)
	if n == 0 {
		return fmt.Errorf("memory has nothing about %s", strings.Join(hosts, ", "))
	}
	return nil
}
