// Command hook is the program of the images that the tests build. It does
// what the variable DO says: operations with ";" between them.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	for _, op := range strings.Split(os.Getenv("DO"), ";") {
		if f := strings.Fields(op); len(f) > 0 {
			do(f)
		}
	}
}

func do(f []string) {
	switch f[0] {
	case "print":
		fmt.Println(strings.Join(f[1:], " "))
	case "complain":
		fmt.Fprintln(os.Stderr, strings.Join(f[1:], " "))
	case "env": // NAME...: what a variable holds, quoted
		for _, name := range f[1:] {
			value, ok := os.LookupEnv(name)
			fmt.Printf("%s=%q %v\n", name, value, ok)
		}
	case "read":
		data, err := os.ReadFile(f[1])
		check(err)
		fmt.Printf("read %q\n", data)
	case "append": // FILE TEXT
		file, err := os.OpenFile(f[1], os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		check(err)
		_, err = fmt.Fprintln(file, f[2])
		check(err)
		check(file.Close())
	case "await": // FILE: come into being
		for {
			if _, err := os.Stat(f[1]); err == nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	case "hang":
		signal.Ignore(syscall.SIGTERM)
		time.Sleep(time.Hour)
	case "exit":
		status, err := strconv.Atoi(f[1])
		check(err)
		os.Exit(status)
	default:
		check(fmt.Errorf("unknown operation %q", f[0]))
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(99)
	}
}
