package netbench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// worker is a process that serves a work.
type worker struct {
	ctx     context.Context
	cmd     *exec.Cmd
	input   io.WriteCloser
	answers *bufio.Reader
	ready   Ready
}

// startWorker starts this program again to serve a work, and waits until it has done it once. Cancelling
// ctx ends the process. What it logs goes to log; environ are variables (name=value) beside this process's.
func startWorker(ctx context.Context, work Work, log io.Writer, environ ...string) (*worker, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot start this program again: %w", err)
	}
	w := &worker{ctx: ctx, cmd: exec.CommandContext(ctx, program, work.args()...)}
	w.cmd.Stderr = log
	w.cmd.Env = append(os.Environ(), environ...)
	w.cmd.SysProcAttr = ownGroup()
	if w.input, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	output, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.answers = bufio.NewReader(output)
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start this program again: %w", err)
	}
	if err := w.answer(&w.ready); err != nil {
		return nil, errors.Join(err, w.stop())
	}
	return w, nil
}

// ask sends a request and reads its answer.
func (w *worker) ask(request string, answer any) error {
	if _, err := fmt.Fprintln(w.input, request); err != nil {
		return w.ended(err)
	}
	return w.answer(answer)
}

func (w *worker) answer(answer any) error {
	line, err := w.answers.ReadBytes('\n')
	if err != nil {
		return w.ended(err)
	}
	var failure Failure
	if err := json.Unmarshal(line, &failure); err != nil {
		return fmt.Errorf("the measuring process wrote %q: %w", line, err)
	}
	if failure.Error != "" {
		return errors.New(failure.Error)
	}
	return json.Unmarshal(line, answer)
}

// ended says why a process that gives no answer is gone.
func (w *worker) ended(err error) error {
	if w.ctx.Err() != nil {
		return w.ctx.Err()
	}
	if status := w.cmd.Wait(); status != nil {
		err = status
	}
	return fmt.Errorf("the measuring process ended: %w; if it was killed, there was too little memory: try a smaller batch or size", err)
}

// stop ends the process by ending its input. A process that has failed has said so already.
func (w *worker) stop() error {
	err := w.input.Close()
	if w.cmd.ProcessState == nil {
		if status := w.cmd.Wait(); !errors.As(status, new(*exec.ExitError)) {
			err = errors.Join(err, status)
		}
	}
	return err
}
