// Sends one request: Ask URL METHOD NAME=VALUE...
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.RequestBody;
import okhttp3.MediaType;

public class Ask {
    public static void main(String[] words) throws Exception {
        Request.Builder request = new Request.Builder().url(words[0]);
        RequestBody body = null;
        for (int i = 2; i < words.length; i++) {
            String[] pair = words[i].split("=", 2);
            if (pair[0].equals("Content-Type")) {
                body = RequestBody.create(MediaType.parse(pair[1]), new byte[5]);
            } else {
                request.addHeader(pair[0], pair[1]);
            }
        }
        new OkHttpClient().newCall(request.method(words[1], body).build()).execute().close();
        System.exit(0);
    }
}
