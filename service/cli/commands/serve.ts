import type { Command } from "commander";
import type { Surroundings } from "../surroundings.ts";

const variables = `
Environment variables:
  PORT, HOST           where it listens (8080, 127.0.0.1; PORT=0 picks a free one)
  KEYBRAKE_STORE       sqlite:FILE, sqlite::memory: or firestore:PROJECT/DATABASE (sqlite:keybrake.db)
  KEYBRAKE_ADMIN_KEY   the admin key, at least 32 characters; without it one is made and printed once
  KEYBRAKE_PEPPER      file:PATH or projects/P/secrets/S, the root of the vault keys' text (made once beside the database)
  KEYBRAKE_VENDORS     JSON: vendor id to {"secret": "env:NAME", "file:PATH" or "projects/P/secrets/S", "upstream": "https://…"}
  KEYBRAKE_CONNECTORS  your own connectors: a file, or JSON
  KEYBRAKE_AUDIENCE    audience that Google ID tokens must carry (without it they are refused)
  KEYBRAKE_POLICIES    with SQLite: a JSON file with policies by id
  KEYBRAKE_RETENTION_DAYS      with Firestore: days that finished calls are kept (400)
  OTEL_EXPORTER_OTLP_ENDPOINT  an OpenTelemetry collector that gets metrics (without it none are kept)

When it listens it prints one JSON line with "message":"listening" and "url". SIGTERM drains and exits 0.

Example:
  $ KEYBRAKE_VENDORS='{"stripe":{"secret":"env:STRIPE_SECRET_KEY"}}' keybrake serve`;

export function addServe(program: Command, around: Surroundings): void {
  program
    .command("serve")
    .description("run the proxy; it is configured by environment variables")
    .addHelpText("after", variables)
    .action(async () => {
      // Imported here, so that no other command loads the server.
      const { serve } = await import("../../main.ts");
      await serve(around.env);
    });
}
