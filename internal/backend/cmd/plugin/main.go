// Command plugin makes sure that XLA can be used on this machine, installing its plugin if there is
// none. It says on standard error what is used and prints the plugin's path on standard output. It
// fails where only the slow fallback is left.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/godcpt/godcpt/internal/backend"
)

func main() {
	cuda := flag.Bool("cuda", false, "also install the CUDA plugin if there is an NVIDIA GPU")
	flag.Parse()
	b, err := backend.Open(backend.Options{InstallCUDA: *cuda})
	if err != nil {
		fmt.Fprintln(os.Stderr, "plugin:", err)
		os.Exit(1)
	}
	if b.Fallback {
		os.Exit(1) // Open has said why
	}
	fmt.Fprintf(os.Stderr, "backend %s: %s\n", b.Kind, b.Source)
	if b.PluginPath != "" {
		fmt.Println(b.PluginPath)
	}
}
