// The steps of README.md by fetch, in Node (as a program) and in a browser (as a module).

class Api {
  constructor(base) {
    this.base = base;
  }

  // An answer is parsed whatever its status: the client tells failures by what is not there.
  async request(method, path, body) {
    const options = { method, headers: { "Content-Type": "application/json" } };
    if (body !== undefined) options.body = JSON.stringify(body);
    const answer = await (await fetch(this.base + path, options)).json();
    if (answer.type === undefined) throw new Error(JSON.stringify(answer));
    return answer;
  }

  list() { return this.request("GET", "/representations"); }
  create(args, kwargs) { return this.request("POST", "/representations", { args, kwargs }); }
  upload(args, kwargs) { return this.request("PUT", "/representations", { args, kwargs }); }
  call(uuid, args, kwargs) { return this.request("PATCH", "/representation/" + uuid, { args, kwargs }); }
  attribute(uuid, name) { return this.request("GET", "/representation/" + uuid + "/" + name); }
  download(uuid) { return this.request("GET", "/representation/" + uuid); }
  release(uuid) { return this.request("DELETE", "/representation/" + uuid); }
}

export async function run(task, tell = () => {}) {
  const api = new Api(task.base);
  const known = {};
  const outcomes = [];

  const one = (value) => value?.ref === undefined ? value : { representation_uuid: known[value.ref] };
  const args = (step) => step.args?.map(one); // undefined, and so absent in the JSON, where there are none
  const kwargs = (step) => step.kwargs && Object.fromEntries(Object.entries(step.kwargs).map(([k, v]) => [k, one(v)]));

  const returned = (step, answer) => {
    if (answer.type !== "uuid") return { none: true };
    known[step.as] = answer.uuid;
    return { representation: true };
  };
  const call = async (step) => {
    const uuid = step.name === undefined ? known[step.on] : (await api.attribute(known[step.on], step.name)).uuid;
    return api.call(uuid, args(step), kwargs(step));
  };
  const until = async (step) => {
    const end = Date.now() + 60000;
    while (Date.now() < end) {
      const answer = await call(step);
      if (answer.type !== "uuid") continue;
      if (step.want === undefined || (await api.download(answer.uuid)).object === step.want) return returned(step, answer);
      await new Promise((go) => setTimeout(go, 20));
    }
    throw new Error("it did not come");
  };
  const steps = {
    list: async () => ({ value: (await api.list()).list }),
    create: async (step) => returned(step, await api.create(args(step), kwargs(step))),
    upload: async (step) => returned(step, await api.upload(args(step))),
    attribute: async (step) => returned(step, await api.attribute(known[step.on], step.name)),
    call: async (step) => returned(step, await call(step)),
    until,
    download: async (step) => ({ value: (await api.download(known[step.on])).object }),
    release: async (step) => returned(step, await api.release(known[step.on])),
  };

  for (const step of task.steps) {
    let outcome;
    try {
      outcome = await steps[step.do](step);
    } catch (e) {
      outcome = { error: e.message };
    }
    outcomes.push(outcome);
    tell(outcome);
  }
  return outcomes;
}

if (globalThis.process?.argv?.[2] === "run") {
  let input = "";
  for await (const chunk of process.stdin) input += chunk;
  await run(JSON.parse(input), (outcome) => console.log(JSON.stringify(outcome)));
}
