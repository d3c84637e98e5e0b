"""A small runner that does what its requests say, for tests: also what no honest runner would. Stdlib only."""

import ctypes
import json
import os
import signal
import sys
import threading
import time


def say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main() -> None:
    if sys.argv[1:] == ["--never-ready"]:
        time.sleep(60)
    if sys.argv[1:] == ["--die"]:
        sys.stderr.write("no such device\n")
        sys.exit(3)
    say({"event": "ready", "protocol": 1, "pid": os.getpid()})
    for text in sys.stdin:
        request = json.loads(text)
        number, op = request["id"], request["op"]
        if op == "echo":
            for step in range(3):
                say({"id": number, "event": "progress", "done": step / 3})
            say({"id": number, "ok": True, "result": request})
        elif op == "fail":
            say(
                {
                    "id": number,
                    "ok": False,
                    "error": {"code": "scene.missing", "message": "no such scene", "scene_fault": True},
                }
            )
        elif op == "memory_error":
            say({"id": number, "ok": False, "error": {"code": "out_of_memory", "message": "", "scene_fault": True}})
        elif op == "segfault":
            sys.stderr.write("about to fall\n\x1b[2Jover\n")
            sys.stderr.flush()
            ctypes.string_at(0)
        elif op == "abort":
            os.abort()
        elif op == "exit":
            os._exit(7)
        elif op == "sleep":
            threading.Thread(target=tick, daemon=True).start()
            time.sleep(request.get("seconds", 60))
            say({"id": number, "ok": True, "result": {}})
        elif op == "spin":
            until = time.monotonic() + request["seconds"]
            while time.monotonic() < until:
                pass
            say({"id": number, "ok": True, "result": {}})
        elif op == "eat":
            hoard = []
            while True:
                hoard.append(b"\1" * 16 * 1024**2)
                time.sleep(0.01)
        elif op == "eat_at_once":
            try:
                bytearray(request["bytes"])
                say({"id": number, "ok": True, "result": {}})
            except MemoryError:
                say({"id": number, "ok": False, "error": {"code": "out_of_memory", "message": "", "scene_fault": True}})
        elif op == "eat_in_children":
            for _ in range(request["children"]):
                if os.fork() == 0:
                    hoard = b"\1" * request["bytes"]
                    time.sleep(60)
            time.sleep(60)
        elif op == "write":
            sys.stdout.write(request["text"])
            sys.stdout.flush()
            time.sleep(60)
        elif op == "huge_line":
            while True:
                sys.stdout.write("x" * 65536)
        elif op == "flood":
            while True:
                say({"event": "alive", "cpu_seconds": 1})
        elif op == "close":
            os.close(1)
            time.sleep(60)
        elif op == "fill":
            with open("/scratch/fill", "wb") as file:  # noqa: PTH123
                while True:
                    file.write(os.urandom(1024**2))
                    time.sleep(0.01)
        elif op == "forks":
            made = 0
            try:
                while made < request["count"]:
                    if os.fork() == 0:
                        time.sleep(60)
                        os._exit(0)
                    made += 1
            except OSError:
                pass
            say({"id": number, "ok": True, "result": {"made": made}})
        elif op == "outlive":
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    signal.signal(signal.SIGTERM, signal.SIG_IGN)
                    time.sleep(request["seconds"])
                os._exit(0)
            os.wait()
            say({"id": number, "ok": True, "result": {}})
        elif op == "python":
            scope: dict[str, object] = {}
            try:
                exec(request["code"], scope)
                say({"id": number, "ok": True, "result": {"value": scope.get("value")}})
            except BaseException as error:
                say(
                    {
                        "id": number,
                        "ok": False,
                        "error": {"code": type(error).__name__, "message": str(error), "scene_fault": False},
                    }
                )
        else:
            say({"id": number, "ok": False, "error": {"code": "op", "message": op, "scene_fault": False}})


def tick() -> None:
    while True:
        time.sleep(0.1)
        say({"event": "alive", "cpu_seconds": time.process_time()})


if __name__ == "__main__":
    main()
