import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import org.openapitools.client.ApiClient;
import org.openapitools.client.api.TensorsApi;
import org.openapitools.client.api.TheoryApi;
import org.openapitools.client.model.DType;
import org.openapitools.client.model.Entry;
import org.openapitools.client.model.Format;
import org.openapitools.client.model.InitRequest;
import org.openapitools.client.model.Real;
import org.openapitools.client.model.Seed;

/**
 * Asks a service, whose URL is the first argument, with the client that openapi-generator makes for Java. Then reads the requests in the
 * folder that is the second argument, and writes each back beside it; asks for the plan of those whose name begins with "plan-".
 */
public class Client {
    public static void main(String[] arguments) throws Exception {
        var client = new ApiClient();
        client.updateBaseUri(arguments[0]);
        // Before the first `new …Api(client)`, which copies it.
        client.setRequestInterceptor(
            request -> request.header("Authorization", "Bearer " + System.getenv("WEIGHT_INIT_TOKEN")));
        var tensors = new TensorsApi(client);

        var raw = tensors.getTensor(
            TensorsApi.APIGetTensorRequest.newBuilder().method("uniform").shape("1000").seed(Long.MAX_VALUE)
                .dtype(DType.FLOAT64).b(0.1).format(Format.RAW).build());
        System.out.println("raw " + digest(Files.readAllBytes(raw.toPath())));

        var npy = tensors.getTensor(
            TensorsApi.APIGetTensorRequest.newBuilder().method("xavier_uniform").shape("64,32").seed(42L)
                .gain("leaky_relu:0.2").format(Format.NPY).build());
        System.out.println("npy " + digest(Files.readAllBytes(npy.toPath())));

        var gain = new TheoryApi(client).getGain(
            TheoryApi.APIGetGainRequest.newBuilder().nonlinearity("leaky_relu").param(0.2).build());
        System.out.println("gain " + gain.getGain().getDouble());

        var request = new InitRequest().method("uniform").shape(List.of(2L)).seed(new Seed(Long.MAX_VALUE))
            .dtype(DType.FLOAT64).b(new Real(0.1));
        var tensor = tensors.postTensor(
            TensorsApi.APIPostTensorRequest.newBuilder().initRequest(request).build());
        System.out.println("seed " + tensor.getSeed());
        System.out.println("effective_seed " + tensor.getEffectiveSeed());
        for (var element : (List<?>) tensor.getData()) System.out.println("element " + element);

        var layer = new Entry().type("Linear").name("fc");
        layer.putAdditionalProperty("in_features", 3);
        layer.putAdditionalProperty("out_features", 2);
        var layers = new InitRequest().layers(List.of(layer)).dtype(DType.FLOAT64);
        var model = tensors.postTensor(
            TensorsApi.APIPostTensorRequest.newBuilder().initRequest(layers).build());
        for (var element : (List<?>) model.getTensors().get(1).getData()) System.out.println("bias " + element);

        List<Path> paths;
        try (var files = Files.list(Path.of(arguments[1]))) {
            paths = files.filter(path -> path.toString().endsWith(".json")).sorted().toList();
        }
        for (var path : paths) {
            var json = client.getObjectMapper();
            var read = json.readValue(path.toFile(), InitRequest.class);
            json.writeValue(Path.of(path + ".back").toFile(), read);
            var name = path.getFileName().toString();
            if (!name.startsWith("plan-")) continue;
            var reply = tensors.postPlanWithHttpInfo(
                TensorsApi.APIPostPlanRequest.newBuilder().initRequest(read).build());
            var tag = reply.getHeaders().get("etag").get(0);
            System.out.println("plan " + name + " " + tag + " " + reply.getData().getSha256());
        }
    }

    private static String digest(byte[] bytes) throws Exception {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
    }
}
