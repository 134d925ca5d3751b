// Command kstatus prints what kstatus, which Flux and helm --wait decide by, makes of the object on its standard input:
// the status, a colon and the message. An object that kstatus cannot judge is an error.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kstatus:", err)
		os.Exit(1)
	}
}

func run() error {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	var object unstructured.Unstructured
	// Not encoding/json, which makes a generation a float that the library refuses.
	if err := object.UnmarshalJSON(text); err != nil {
		return err
	}
	result, err := status.Compute(&object)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %s\n", result.Status, result.Message)
	return nil
}
