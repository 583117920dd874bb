// A tensor as a Float32Array, in Node 18 or later:
//
//     node tensor.mjs

import { createHash } from "node:crypto";

const service = process.env.WEIGHT_INIT_URL ?? "http://localhost:8080";
const query = new URLSearchParams({
  method: "kaiming_normal",
  shape: "64,3,7,7",
  seed: 42,
  mode: "fan_out",
  nonlinearity: "relu",
  format: "raw",
});
const token = process.env.WEIGHT_INIT_TOKEN;
const reply = await fetch(`${service}/init?${query}`, { headers: token ? { Authorization: `Bearer ${token}` } : {} });
if (!reply.ok) throw new Error((await reply.json()).detail);
const weight = new Float32Array(await reply.arrayBuffer());

console.log(reply.headers.get("X-Tensor-Shape"), reply.headers.get("X-Tensor-Dtype"));
console.log(Array.from(weight.slice(0, 4), (value) => value.toFixed(6)).join(" "));
console.log(createHash("sha256").update(weight).digest("hex"));
