"""Runs a program on a terminal of its own: waits for each text in turn, then types what goes with it; null hangs up, as a lost
connection does. Prints code and screen as JSON."""
import fcntl, json, os, pty, select, signal, struct, sys, termios, time

spec = json.loads(sys.argv[1])
pid, fd = pty.fork()
if pid == 0:
    os.chdir(spec["cwd"])
    os.execve(spec["argv"][0], spec["argv"], spec["env"])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 250, 0, 0))
seen, at, steps, end = b"", 0, list(spec["steps"]), time.time() + 100
while time.time() < end:
    if select.select([fd], [], [], 1)[0]:
        try:
            part = os.read(fd, 65536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        seen += part
    if steps:
        found = seen.find(steps[0][0].encode(), at)
        if found >= 0:
            at = len(seen)
            keys = steps.pop(0)[1]
            if keys is None:
                os.close(fd)
                break
            os.write(fd, keys.encode())
else:
    os.kill(pid, signal.SIGKILL)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(json.dumps({"code": code, "screen": seen.decode(errors="replace"), "left": len(steps)}))
