// A worker that a frame asks something of answers before the frame is drawn. One that did not once is not waited for again.
const LONGEST_ANSWER = 500;
// Of each worker how many messages it was sent and has not answered.
const asked = new Map();
let hear = () => {};
const RealWorker = window.Worker;
window.Worker = class extends RealWorker {
  constructor(...options) {
    super(...options);
    asked.set(this, 0);
    super.addEventListener("message", () => {
      if (asked.get(this) > 0) asked.set(this, asked.get(this) - 1);
      hear();
    });
  }
  postMessage(...options) {
    if (!loading && asked.has(this)) asked.set(this, asked.get(this) + 1);
    super.postMessage(...options);
  }
  terminate() {
    asked.delete(this);
    super.terminate();
  }
};
Object.defineProperty(window.Worker, "name", { value: "Worker" });
const hearWorkers = async () => {
  const isAsked = () => Array.from(asked.values()).some((messages) => messages > 0);
  if (!isAsked()) return;
  let late = false;
  const deadline = original.setTimeout(() => {
    late = true;
    hear();
  }, LONGEST_ANSWER);
  while (isAsked() && !late) await new Promise((heard) => (hear = heard));
  original.clearTimeout(deadline);
  for (const [worker, messages] of asked) if (messages > 0) asked.delete(worker);
  // Whoever else listens has heard by then.
  await new Promise((done) => original.setTimeout(done));
};
