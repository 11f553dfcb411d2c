# The official client as one party of sums: for each uuid on standard input, one sum, whose result goes to standard output.
import sys

import federatedsecure.client

me, nodes = int(sys.argv[1]), sys.argv[2].split(",")
print("ready", flush=True)
for line in sys.stdin:
    api = federatedsecure.client.Api(nodes[me])
    microservice = api.create(protocol="Simon")
    result = microservice.compute(microprotocol="SecureSum", data=me + 1,
                                  network={"nodes": nodes, "uuid": line.strip(), "myself": me})
    print(api.download(result), flush=True)
