// Command weft serves and opens WebSockets over every version of HTTP that package weft speaks, and shows what carried
// them.
//
// Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted. An error is one line on standard error.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

func main() {
	// quic-go's advice on socket buffers is for operators: here it would stand between the lines of the output.
	os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130 // 128 + SIGINT, as shells have it
)

// run executes the command line and returns the exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteC()
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	}
	// Cobra prefixes nothing, the library "weft: ": the line has it once.
	fmt.Fprintf(stderr, "weft: %s\n", strings.ReplaceAll(strings.TrimPrefix(err.Error(), "weft: "), "\n", "; "))
	if _, ok := errors.AsType[*usageError](err); ok || !cmd.HasParent() {
		fmt.Fprintf(stderr, "Try '%s --help'.\n", cmd.CommandPath())
		return exitUsage
	}
	return exitFailed
}

// A usageError is a command line that cannot be obeyed.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// errInterrupted says that a signal ended the command.
var errInterrupted = errors.New("interrupted")

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "weft",
		Short: "WebSockets woven through one HTTP connection",
		Long: `weft serves and opens WebSockets over HTTP/1.1 (RFC 6455), HTTP/2 (RFC 8441) and HTTP/3 (RFC 9220).

Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.`,
		Example: `  weft up                                        # a playground on https://127.0.0.1:8443/
  weft cat wss://127.0.0.1:8443/echo --insecure  # talk to it`,
		Version:           version(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              usageArgs(cobra.NoArgs),
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("weft {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(newUpCommand(), newCatCommand(), newProbeCommand(), newBenchCommand(), newLabCommand(), newMemoryCommand())
	return root
}

// usageArgs makes what check finds a usage error.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{err}
		}
		return nil
	}
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// commandContext returns the command's context, or one that never ends.
func commandContext(cmd *cobra.Command) context.Context {
	if ctx := cmd.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}
