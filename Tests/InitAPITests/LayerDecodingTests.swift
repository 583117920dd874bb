import ByteText
import Testing
import WeightInit

@testable import InitAPI

@Suite("A layer is decoded by the table of its type")
struct LayerDecodingTests {
    private func layer(_ json: String, dtype: DType = .float32) throws -> LayerRequest {
        guard case .object(let members) = try JSONParser.parse(Array(json.utf8)) else {
            throw InitError(.invalid, [], "not an object")
        }
        return try RequestMembers(members).layer(dtype: dtype)
    }

    @Test("Arguments have their types, and the layer can be built")
    func convolution() throws {
        let layer = try layer(
            #"{"type":"Conv2d","in_channels":3,"out_channels":64,"kernel_size":7,"stride":[2,2],"bias":false}"#
        )
        #expect(layer.type == "Conv2d")
        #expect(layer.dtype == .float32)
        #expect(layer.arguments["kernel_size"] == .integer(7))
        #expect(layer.arguments["bias"] == .boolean(false))
        let plan = try Plan(ModelRequest(entries: [ModelEntry(name: "", content: .layer(layer))]), seed: Seed(Int64(0)))
        #expect(plan.tensors.map(\.shape.dimensions) == [[64, 3, 7, 7]])
    }

    @Test("A nested layer has the dtype of its outer layer, unless it has its own")
    func nested() throws {
        let json = """
            {"type":"TransformerEncoder","num_layers":2,"encoder_layer":
             {"type":"TransformerEncoderLayer","d_model":8,"nhead":2,"dim_feedforward":4}}
            """
        let encoder = try layer(json, dtype: .float64)
        #expect(encoder.dtype == .float64)
        guard case .layer(let inner)? = encoder.arguments["encoder_layer"] else {
            Issue.record("no inner layer")
            return
        }
        #expect(inner.dtype == .float64)
        #expect(inner.arguments["nhead"] == .integer(2))
        #expect(try layer(#"{"type":"Linear","dtype":"float16","in_features":1,"out_features":1}"#).dtype == .float16)
    }

    @Test("The canonical form drops defaults and reads back as the same layer")
    func canonical() throws {
        let original = try layer(
            #"{"out_features":2,"in_features":3,"type":"Linear","bias":true}"#
        )
        let canonical = JSONValue.object(original.json(within: .float32)).encodedText
        #expect(canonical == #"{"type":"Linear","in_features":3,"out_features":2}"#)
        let again = try layer(canonical.description)
        #expect(again.json(within: .float32) == original.json(within: .float32))
    }

    @Test(
        "Errors name the place of the fault",
        arguments: [
            ("{}", ["type"], "is missing"),
            (#"{"type":"Conv2"}"#, ["type"], "did you mean Conv"),
            (#"{"type":2}"#, ["type"], "string"),
            (#"{"type":"Linear","in_features":1}"#, ["out_features"], "is missing"),
            (#"{"type":"Linear","in_features":1.0,"out_features":1}"#, ["in_features"], "integer"),
            (#"{"type":"Linear","in_features":1,"out_features":1,"bais":true}"#, ["bais"], "did you mean bias"),
            (#"{"type":"Linear","in_features":1,"out_features":1,"bias":1}"#, ["bias"], "true or false"),
            (
                #"{"type":"Conv2d","in_channels":1,"out_channels":1,"kernel_size":[1,2,3]}"#,
                ["kernel_size"],
                "one integer or 2 of them"
            ),
            (
                #"{"type":"Conv2d","in_channels":1,"out_channels":1,"kernel_size":[1,true]}"#,
                ["kernel_size", "1"],
                "integer"
            ),
            (
                #"{"type":"TransformerEncoder","num_layers":1,"encoder_layer":{"type":"TransformerEncoderLayer"}}"#,
                ["encoder_layer", "d_model"],
                "is missing"
            ),
            (#"{"type":"TransformerEncoder","num_layers":1,"encoder_layer":1}"#, ["encoder_layer"], "object"),
        ] as [(String, [Text], String)]
    )
    func errors(_ json: String, _ path: [Text], _ detail: String) {
        let error = #expect(throws: InitError.self) { try layer(json) }
        #expect(error?.path == path)
        #expect(error?.kind == .invalid)
        #expect(error?.detail.contains(detail) == true, "\(error?.detail ?? "")")
    }
}
