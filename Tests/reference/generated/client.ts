// Asks a service, whose URL is the first argument, with the client that openapi-generator makes for TypeScript. Then reads the requests
// in the folder that is the second argument, and writes each back beside it; asks for the plan of those whose name begins with "plan-".
import { Configuration, DType, Format, InitRequestFromJSON, InitRequestToJSON, TensorsApi, TheoryApi } from "./index";

declare const process: { argv: string[]; env: { [name: string]: string | undefined } };
declare function require(name: string): any;

// JavaScript's numbers have 53 bits: larger seeds are text in a JSON request.
const SEED = "9223372036854775807";

function digest(bytes: ArrayBuffer): string {
    return require("crypto").createHash("sha256").update(new Uint8Array(bytes)).digest("hex");
}

async function main() {
    const configuration = new Configuration({ basePath: process.argv[2], accessToken: process.env.WEIGHT_INIT_TOKEN! });
    const tensors = new TensorsApi(configuration);

    const request = { method: "uniform", shape: [1000], seed: SEED, dtype: DType.Float64, b: 0.1, format: Format.Raw };
    const raw = await tensors.getTensor({ request: JSON.stringify(request) });
    console.log("raw", digest(await raw.arrayBuffer()));

    const npy = await tensors.getTensor({
        method: "xavier_uniform", shape: "64,32", seed: 42, gain: "leaky_relu:0.2", format: Format.Npy,
    });
    console.log("npy", digest(await npy.arrayBuffer()));

    const gain = await new TheoryApi(configuration).getGain({ nonlinearity: "leaky_relu", param: 0.2 });
    console.log("gain", gain.gain);

    const tensor = await tensors.postTensor({
        initRequest: { method: "uniform", shape: [2], seed: SEED, dtype: DType.Float64, b: 0.1 },
    });
    console.log("effective_seed", tensor.effectiveSeed);
    for (const element of tensor.data as unknown as number[]) console.log("element", element);

    const model = await tensors.postTensor({
        initRequest: { layers: [{ type: "Linear", name: "fc", in_features: 3, out_features: 2 }], dtype: DType.Float64 },
    });
    for (const element of model.tensors![1].data as unknown as number[]) console.log("bias", element);

    const fs = require("fs");
    const folder = process.argv[3];
    for (const name of fs.readdirSync(folder).filter((name: string) => name.endsWith(".json")).sort()) {
        const request = InitRequestFromJSON(JSON.parse(fs.readFileSync(folder + "/" + name, "utf8")));
        fs.writeFileSync(folder + "/" + name + ".back", JSON.stringify(InitRequestToJSON(request)));
        if (!name.startsWith("plan-")) continue;
        const reply = await tensors.postPlanRaw({ initRequest: request });
        console.log("plan", name, reply.raw.headers.get("etag"), (await reply.value()).sha256);
    }
}

main();
