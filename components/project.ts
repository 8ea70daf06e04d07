import * as config from "@pulumi/gcp/config";
import type * as pulumi from "@pulumi/pulumi";
import type { Faults } from "./faults";
import { isProject } from "./names";

/** The project of a component's arguments, or of the stack's configuration. */
export function projectOf(faults: Faults, given: pulumi.Input<string> | undefined): pulumi.Input<string> {
  const project = given ?? config.project;
  const valid = '"my-project" (or `pulumi config set gcp:project my-project`)';
  if (project === undefined || project === "") {
    faults.add("project", undefined, "and so is `gcp:project` of the stack's configuration", valid);
    return "";
  }
  faults.check("project", project, (id) => (isProject(id) ? null : { wrong: "which is no id of a project", valid }));
  return project;
}
