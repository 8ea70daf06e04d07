/** The proxy as `keybrake serve` starts it, in a process that also reports its memory and its event loop's delay. */
import { serve } from "../../service/main.ts";
import { answerReports } from "./report.ts";

await serve(process.env);
answerReports();
