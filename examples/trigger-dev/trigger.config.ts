import { defineConfig } from "@trigger.dev/sdk";

export default defineConfig({
  project: process.env.TRIGGER_PROJECT_REF ?? "proj_your_project",
  runtime: "node-22",
  dirs: ["./trigger"],
  maxDuration: 3600,
});
