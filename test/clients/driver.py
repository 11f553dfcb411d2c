# The steps of README.md by the official client.
import json
import sys
import time

import federatedsecure.client

task = json.load(sys.stdin)
api = federatedsecure.client.Api(task["base"])
known = {}


def arguments(step):
    def one(value):
        return known[value["ref"]] if isinstance(value, dict) and "ref" in value else value
    return [one(v) for v in step.get("args", [])], {k: one(v) for k, v in step.get("kwargs", {}).items()}


def returned(step, representation):
    if representation is None:
        return {"none": True}
    known[step.get("as")] = representation
    return {"representation": True}


def call(step):
    args, kwargs = arguments(step)
    member = known[step["on"]] if "name" not in step else getattr(known[step["on"]], step["name"])
    return member(*args, **kwargs)


def until(step):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        representation = call(step)
        if representation is None:
            continue
        if "want" not in step or api.download(representation) == step["want"]:
            return returned(step, representation)
        time.sleep(0.02)
    return {"error": "it did not come"}


def do(step):
    args, kwargs = arguments(step)
    match step["do"]:
        case "list":
            return {"value": api.list()}
        case "create":
            return returned(step, api.create(*args, **kwargs))
        case "upload":
            return returned(step, api.upload(*args))
        case "attribute":
            return returned(step, api.attribute(known[step["on"]]["representation_uuid"], step["name"]))
        case "call":
            return returned(step, call(step))
        case "until":
            return until(step)
        case "download":
            return {"value": api.download(known[step["on"]])}
        case "release":
            api.release(known[step["on"]]["representation_uuid"])
            return {"none": True}


for step in task["steps"]:
    try:
        outcome = do(step)
    except Exception as e:
        outcome = {"error": str(e)}
    print(json.dumps(outcome), flush=True)
