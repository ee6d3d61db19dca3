// Command keeper runs one server of the testbed and makes sure that nothing of it outlives the test.
//
// A guard inside the test process cannot promise that: destructors of statics do not run, and none run after SIGKILL. A
// parent-death signal alone does not reach grandchildren (a browser's, a database's). So each server runs under a keeper
// that holds one end of a pipe: when the other end goes, for whatever reason, the keeper ends the server and everything
// the server ever started. It is a subreaper, so that descendants that detach themselves come back to it.
//
// On standard output it reports "pid N" and later "exit CODE" or "signal N". Standard error of the server is the keeper's.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The parent-death signal is tied to the thread that forks: the main thread, which lives as long as the keeper does.
func init() { runtime.LockOSThread() }

func main() {
	uid := flag.Int("uid", -1, "run the program as this user")
	gid := flag.Int("gid", -1, "run the program as this group")
	stdin := flag.String("stdin", os.DevNull, "file the program reads")
	stdout := flag.String("stdout", "", "file for the program's output (default: standard error)")
	dir := flag.String("dir", "", "working directory of the program")
	farewell := flag.Int("farewell", 0, "signal sent first when the parent goes; the program gets two seconds")
	remove := flag.String("remove", "", "folder removed when the parent goes (instead of running a program)")
	flag.Parse()

	gone := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(gone)
	}()
	if *remove != "" {
		<-gone
		removeAll(*remove)
		return
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fail("become a subreaper: %v", err)
	}
	pid := start(*uid, *gid, *stdin, *stdout, *dir, flag.Args())
	fmt.Printf("pid %d\n", pid)

	ended := make(chan string, 1)
	go reap(pid, ended)
	select {
	case how := <-ended:
		fmt.Println(how)
	case <-gone:
		if *farewell != 0 {
			_ = unix.Kill(pid, unix.Signal(*farewell))
			select {
			case <-ended:
			case <-time.After(2 * time.Second):
			}
		}
	}
	killDescendants()
}

// start runs the program in a process group of its own: a Ctrl-C at the terminal is the parent's to handle.
func start(uid, gid int, stdin, stdout, dir string, args []string) int {
	if len(args) == 0 {
		fail("no program named")
	}
	program, err := exec.LookPath(args[0])
	if err != nil {
		fail("%v", err)
	}
	in, err := os.Open(stdin)
	if err != nil {
		fail("%v", err)
	}
	out := os.Stderr
	if stdout != "" {
		if out, err = os.Create(stdout); err != nil {
			fail("%v", err)
		}
	}
	attributes := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if uid >= 0 {
		attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	process, err := os.StartProcess(program, args, &os.ProcAttr{
		Dir: dir, Env: os.Environ(), Files: []*os.File{in, out, os.Stderr}, Sys: attributes,
	})
	if err != nil {
		fail("start %s: %v", program, err)
	}
	return process.Pid
}

// reap waits for every child, adopted ones too, and tells how the program itself ended.
func reap(program int, ended chan<- string) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			time.Sleep(10 * time.Millisecond) // no child right now; an adopted one may come
		case pid == program && status.Signaled():
			ended <- fmt.Sprintf("signal %d", status.Signal())
		case pid == program:
			ended <- fmt.Sprintf("exit %d", status.ExitStatus())
		}
	}
}

func removeAll(folder string) {
	// The other keepers end their servers meanwhile: a server may still write while its folder goes.
	for range 50 {
		if os.RemoveAll(folder) == nil {
			if _, err := os.Stat(folder); os.IsNotExist(err) {
				time.Sleep(200 * time.Millisecond)
				if _, err := os.Stat(folder); os.IsNotExist(err) {
					return
				}
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "keeper: "+format+"\n", arguments...)
	os.Exit(127)
}
