import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { answerReports, type Report } from "./report.ts";

/**
 * Listens on a free loopback port, and says so as the proxy does.
 * @param more what this process counts beside.
 */
export function listenAndReport(server: Server, more?: () => Partial<Report>): void {
  server.keepAliveTimeout = 60_000;
  answerReports(more);
  server.listen(0, "127.0.0.1", () => {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    process.stdout.write(`${JSON.stringify({ message: "listening", url })}\n`);
  });
  process.on("SIGTERM", () => process.exit(0));
}
