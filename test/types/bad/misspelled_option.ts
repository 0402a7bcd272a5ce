import { collect } from "@holdfast/backup";
collect.files("/a", { exlude: ["cache/**"] });
