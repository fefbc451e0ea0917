from soda import Refused, SodaAction, until


class ExecuteAnalysis(SodaAction):
    def act(self, cloud, analysis_engine_type, args, interval=5):
        url = args.get("url")
        if not url:
            raise Refused("`args` has no `url`: say where a service takes jobs; clusters are not started any more")
        begun = cloud.ask("POST", url, {"engine": analysis_engine_type, "args": args})
        look = lambda: cloud.ask("GET", f"{url.rstrip('/')}/{begun['id']}")
        done = until(look, "state", ["COMPLETED"], interval, float("inf"), f"analysis {begun['id']}")
        print(f"analysis {begun['id']} is complete")
        return done
