// Renders a project on a stack with upstream's client: render.mjs MODULES PROJECT BUCKET STATE_MACHINE_ARN
// Prints one JSON line: the site, the handle, and the last progress.
import { pathToFileURL } from "node:url";

const [modules, projectDir, bucketName, stateMachineArn] = process.argv.slice(2);
const sdk = pathToFileURL(`${modules}/@hyperframes/aws-lambda/dist/sdk/index.js`);
const { deploySite, renderToLambda, getRenderProgress } = await import(sdk);

const region = process.env.AWS_REGION;
const site = await deploySite({ projectDir, bucketName, region });
const again = await deploySite({ projectDir, bucketName, region });
const config = { fps: 30, width: 320, height: 180, format: "mp4", quality: "draft", runtimeCap: "lambda" };
const handle = await renderToLambda({ siteHandle: site, bucketName, stateMachineArn, region, config });
let progress;
do {
  await new Promise((wake) => setTimeout(wake, 500));
  progress = await getRenderProgress({ executionArn: handle.executionArn, region });
} while (progress.status === "RUNNING");
console.log(JSON.stringify({ site, again, handle, progress }));
