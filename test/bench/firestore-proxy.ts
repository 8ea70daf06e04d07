/** The proxy as `keybrake serve` starts it, on Firestore, in a process that also reports what it asked of Firestore. */
import { serve } from "../../service/main.ts";
import { countOperations } from "./firestore-operations.ts";
import { answerReports } from "./report.ts";

const counter = countOperations();
await serve(process.env);
answerReports(() => ({ operations: counter.counts }));
