/** Storing a backup: `upload`. @module */
export { upload, type UploadOptions } from "./upload.ts";
