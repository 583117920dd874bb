// A model's weights as arrays of float, by name, in Java 17 or later:
//
//     java Model.java [REQUEST.json]

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.StringJoiner;
import java.util.regex.Pattern;

public class Model {
    // Java has no JSON library of its own. A pattern is enough for names without quotes and backslashes.
    private static final Pattern ENTRY =
            Pattern.compile("\"([^\"\\\\]+)\":\\{\"dtype\":\"([A-Z0-9]+)\",\"shape\":\\[[0-9,]*\\],\"data_offsets\":\\[(\\d+),(\\d+)\\]\\}");

    public static void main(String[] arguments) throws Exception {
        var service = System.getenv().getOrDefault("WEIGHT_INIT_URL", "http://localhost:8080");
        var request = HttpRequest.newBuilder(URI.create(service + "/init"))
                .header("Content-Type", "application/json")
                .POST(BodyPublishers.ofFile(Path.of(arguments.length > 0 ? arguments[0] : "models/mlp.json")));
        var token = System.getenv("WEIGHT_INIT_TOKEN");
        if (token != null) request.header("Authorization", "Bearer " + token);
        var reply = HttpClient.newHttpClient().send(request.build(), BodyHandlers.ofByteArray());
        if (reply.statusCode() != 200) {
            throw new IllegalStateException(new String(reply.body(), StandardCharsets.UTF_8));
        }
        // A safetensors file: the length of a header in 8 bytes, the header in JSON, the tensors' bytes.
        var file = ByteBuffer.wrap(reply.body()).order(ByteOrder.LITTLE_ENDIAN);
        long length = file.remaining() < Long.BYTES ? -1 : file.getLong();
        if (length < 0 || length > file.remaining()) {
            throw new IllegalStateException("the reply is no safetensors file: ask for format=safetensors");
        }
        var header = new byte[(int) length];
        file.get(header);
        var data = file.slice().order(ByteOrder.LITTLE_ENDIAN);

        Map<String, float[]> weights = new LinkedHashMap<>();
        List<String> others = new ArrayList<>();
        var entries = ENTRY.matcher(new String(header, StandardCharsets.UTF_8));
        while (entries.find()) {
            if (!entries.group(2).equals("F32")) {
                others.add(entries.group(1) + " (" + entries.group(2) + ")");
                continue;
            }
            int start = Integer.parseInt(entries.group(3));
            int end = Integer.parseInt(entries.group(4));
            var values = new float[(end - start) / Float.BYTES];
            data.slice(start, end - start).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(values);
            weights.put(entries.group(1), values);
        }

        if (!others.isEmpty()) {
            System.err.println(
                    "left out, because they are not float32: " + others.size() + " tensors such as " + others.get(0));
        }
        if (weights.isEmpty()) {
            throw new IllegalStateException("the model has no tensor of float32");
        }
        var values = weights.values().iterator().next();
        var first = new StringJoiner(" ");
        for (var value : Arrays.copyOf(values, Math.min(4, values.length))) {
            first.add(String.format(Locale.ROOT, "%.6f", value));
        }
        var digest = MessageDigest.getInstance("SHA-256");
        digest.update(data);
        System.out.println(String.join(" ", weights.keySet()));
        System.out.println(first);
        System.out.println(HexFormat.of().formatHex(digest.digest()));
    }
}
