import { encrypt } from "@holdfast/backup";
encrypt.age({ recipients: ["age1"], identities: "AGE-SECRET-KEY-1" });
