// A tensor as an array of float, in Java 17 or later:
//
//     java Tensor.java

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.Locale;

public class Tensor {
    private static final String QUERY =
            "method=kaiming_normal&shape=64,3,7,7&seed=42&mode=fan_out&nonlinearity=relu&format=raw";

    public static void main(String[] arguments) throws Exception {
        var service = System.getenv().getOrDefault("WEIGHT_INIT_URL", "http://localhost:8080");
        var request = HttpRequest.newBuilder(URI.create(service + "/init?" + QUERY));
        var token = System.getenv("WEIGHT_INIT_TOKEN");
        if (token != null) request.header("Authorization", "Bearer " + token);
        var reply = HttpClient.newHttpClient().send(request.build(), BodyHandlers.ofByteArray());
        var body = reply.body();
        if (reply.statusCode() != 200) {
            throw new IllegalStateException(new String(body, StandardCharsets.UTF_8));
        }
        var weight = new float[body.length / Float.BYTES];
        ByteBuffer.wrap(body).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(weight);

        var fields = reply.headers();
        System.out.println(
                fields.firstValue("X-Tensor-Shape").orElseThrow() + " " + fields.firstValue("X-Tensor-Dtype").orElseThrow());
        System.out.println(
                String.format(Locale.ROOT, "%.6f %.6f %.6f %.6f", weight[0], weight[1], weight[2], weight[3]));
        System.out.println(HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(body)));
    }
}
