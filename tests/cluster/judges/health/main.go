// Command health runs a health script of Argo CD on the object on its standard input, as Argo CD does: with the same
// interpreter, the base and table libraries alone, and one second of time. It prints the status, a colon and the message.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	lua "github.com/yuin/gopher-lua"
	"layeh.com/gopher-json"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: health SCRIPT < OBJECT.json")
		os.Exit(64)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "health:", err)
		os.Exit(1)
	}
}

func run(script string) error {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, library := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(library), Protect: true}, lua.LString(name)); err != nil {
			return err
		}
	}
	object, err := json.Decode(state, text)
	if err != nil {
		return err
	}
	state.SetGlobal("obj", object)
	deadline, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state.SetContext(deadline)
	if err := state.DoFile(script); err != nil {
		return err
	}
	result, isTable := state.Get(-1).(*lua.LTable)
	if !isTable {
		return fmt.Errorf("%s returned no table", script)
	}
	fmt.Printf("%s: %s\n", result.RawGetString("status"), result.RawGetString("message"))
	return nil
}
