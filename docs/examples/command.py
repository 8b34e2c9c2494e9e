"""Asks for a run by a signed command and waits for its end. To be copied: Python 3.9 or later, and nothing else.
python3 command.py '{"verb": "run", "task": "pg.analyze", "target": "core", "params": {"tables": ["core.cases"]}}'"""
import hashlib, hmac, json, os, socket, sys, time, urllib.parse, uuid

where = urllib.parse.urlparse(os.environ.get("DBOPS_REDIS_URL", "redis://127.0.0.1"))
key, secret = os.environ.get("COMMAND_KEY", "deployer"), os.environ.get("COMMAND_SECRET", "")
patience = float(os.environ.get("PATIENCE_S", "600"))
body = sys.argv[1] if len(sys.argv) > 1 else ""
ENDS = ("succeeded", "failed", "cancelled", "timed_out", "refused", "skipped")
wire = socket.create_connection((where.hostname, where.port or 6379), timeout=15).makefile("rwb")

def ask(*words):  # Redis's own protocol: an array of strings out, one value back.
    parts = [str(word).encode() for word in words]
    wire.write(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
    wire.flush()
    return value()

def value():
    line = wire.readline()[:-2]
    kind, rest = line[:1], line[1:]
    if kind == b"-":
        sys.exit(rest.decode())
    if kind == b"$":
        return None if rest == b"-1" else wire.read(int(rest) + 2)[:-2].decode()
    if kind == b"*":
        return None if rest == b"-1" else [value() for _ in range(int(rest))]
    return rest.decode()

if where.password:
    ask("AUTH", *([urllib.parse.unquote(where.username)] if where.username else []), urllib.parse.unquote(where.password))
last = ask("XREVRANGE", "dbops:events", "+", "-", "COUNT", 1)
since = last[0][0] if last else "0"  # From here on: the answer cannot be missed, however fast it comes.
command = str(uuid.uuid4())  # Once for each command: the same id twice is refused.
expires = str(int(time.time()) + 60)  # At most five minutes ahead.
signature = hmac.new(secret.encode(), f"v1:{command}:{expires}:{body}".encode(), hashlib.sha256).hexdigest()
ask("XADD", "dbops:commands", "*", "id", command, "key", key, "expires", expires, "body", body, "sig", signature)

run, deadline = None, time.time() + patience
while time.time() < deadline:
    for _, entries in ask("XREAD", "COUNT", 100, "BLOCK", 5000, "STREAMS", "dbops:events", since) or []:
        for since, fields in entries:
            event = json.loads(dict(zip(fields[::2], fields[1::2])).get("ce", "{}"))
            data = event.get("data", {})
            if data.get("command") == command:
                if "command_refused" in event["type"]:
                    print(f"refused ({data['reason']}): {data['message']}; {data['hint']}")
                    sys.exit(4)
                run = data["run"]
                print(f"accepted as run {run}" if run else "done", flush=True)
                if not run:  # What bears no run: pause, resume, cancel.
                    sys.exit(0)
            elif run and event.get("runid") == run and data.get("state") in ENDS and data.get("mode"):
                print(f"{data['task']} {data['state']}")
                sys.exit(0 if data["state"] == "succeeded" else 1)
print(f"run {run} has not ended yet" if run else "no answer: is a scheduler running?")
sys.exit(5)
