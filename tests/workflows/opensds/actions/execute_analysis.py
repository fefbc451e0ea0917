from lib.cloud import ask, until
from st2common.runners.base_action import Action


class ExecuteAnalysis(Action):
    """Where the pack of this name starts a cluster at a cloud vendor, this one asks a service at `args.url`."""

    def run(self, analysis_engine_type, args, auth_token=None, **_):
        wanted = {"engine": analysis_engine_type, "args": args}
        job = ask("POST", args["url"], wanted, auth_token)["id"]
        until(
            lambda: ask("GET", f"{args['url']}/{job}", token=auth_token)["state"],
            good="COMPLETED",
            bad=["FAILED", "TERMINATED"],
        )
        print(f"analysis {job} is complete")
