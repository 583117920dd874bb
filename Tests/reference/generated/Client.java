import java.nio.file.Files;
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
import org.openapitools.client.model.LayerEntry;
import org.openapitools.client.model.LayersRequest;
import org.openapitools.client.model.Real;
import org.openapitools.client.model.Seed;
import org.openapitools.client.model.TensorRequest;

/** Asks a service, whose URL is the argument, with the client that openapi-generator makes for Java. */
public class Client {
    public static void main(String[] arguments) throws Exception {
        var client = new ApiClient();
        client.updateBaseUri(arguments[0]);
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

        var request = new TensorRequest().method("uniform").shape(List.of(2L)).seed(new Seed(Long.MAX_VALUE))
            .dtype(DType.FLOAT64).b(new Real(0.1));
        var tensor = tensors.postTensor(
            TensorsApi.APIPostTensorRequest.newBuilder().initRequest(new InitRequest(request)).build());
        System.out.println("seed " + tensor.getSeed());
        System.out.println("effective_seed " + tensor.getEffectiveSeed());
        for (var element : (List<?>) tensor.getData()) System.out.println("element " + element);

        var layer = new LayerEntry().type("Linear").name("fc");
        layer.putAdditionalProperty("in_features", 3);
        layer.putAdditionalProperty("out_features", 2);
        var layers = new LayersRequest().layers(List.of(new Entry(layer))).dtype(DType.FLOAT64);
        var model = tensors.postTensor(
            TensorsApi.APIPostTensorRequest.newBuilder().initRequest(new InitRequest(layers)).build());
        for (var element : (List<?>) model.getTensors().get(1).getData()) System.out.println("bias " + element);
    }

    private static String digest(byte[] bytes) throws Exception {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
    }
}
