"""A generator and a discriminator with a train_step of their own and two optimizers; its twin is dcgan_keras."""

from program_data import digits

import jitnet as keras

keras.utils.set_random_seed(1)
layers, ops = keras.layers, keras.ops
LATENT = 16

discriminator = keras.Sequential(
    [
        layers.Input((8, 8, 1)),
        layers.Conv2D(16, 4, strides=2, padding="same"),
        layers.LeakyReLU(negative_slope=0.2),
        layers.Conv2D(32, 4, strides=2, padding="same"),
        layers.LeakyReLU(negative_slope=0.2),
        layers.Flatten(),
        layers.Dropout(0.2),
        layers.Dense(1),
    ],
    name="discriminator",
)
generator = keras.Sequential(
    [
        layers.Input((LATENT,)),
        layers.Dense(4 * 4 * 16),
        layers.Reshape((4, 4, 16)),
        layers.Conv2DTranspose(16, 4, strides=2, padding="same"),
        layers.LeakyReLU(negative_slope=0.2),
        layers.Conv2D(1, 5, padding="same", activation="sigmoid"),
    ],
    name="generator",
)


class GAN(keras.Model):
    def __init__(self, discriminator, generator, latent_dim):
        super().__init__()
        self.discriminator = discriminator
        self.generator = generator
        self.latent_dim = latent_dim
        self.seed_generator = keras.random.SeedGenerator(1337)
        self.d_loss_metric = keras.metrics.Mean(name="d_loss")
        self.g_loss_metric = keras.metrics.Mean(name="g_loss")

    def compile(self, d_optimizer, g_optimizer, loss_fn):
        super().compile()
        self.d_optimizer = d_optimizer
        self.g_optimizer = g_optimizer
        self.loss_fn = loss_fn

    @property
    def metrics(self):
        return [self.d_loss_metric, self.g_loss_metric]

    def train_step(self, real_images):
        batch_size = ops.shape(real_images)[0]
        noise = keras.random.normal(shape=(batch_size, self.latent_dim), seed=self.seed_generator)
        generated_images = self.generator(noise)
        combined_images = ops.concatenate([generated_images, real_images], axis=0)
        labels = ops.concatenate([ops.ones((batch_size, 1)), ops.zeros((batch_size, 1))], axis=0)
        labels = labels + 0.05 * keras.random.uniform(ops.shape(labels), seed=self.seed_generator)

        def d_objective():
            return self.loss_fn(labels, self.discriminator(combined_images, training=True))

        variables = self.discriminator.trainable_variables
        d_loss, gradients = keras.value_and_grad(d_objective, variables=variables)()
        self.d_optimizer.apply_gradients(zip(gradients, variables, strict=True))

        noise = keras.random.normal(shape=(batch_size, self.latent_dim), seed=self.seed_generator)

        def g_objective():
            predictions = self.discriminator(self.generator(noise, training=True))
            return self.loss_fn(ops.zeros((batch_size, 1)), predictions)

        variables = self.generator.trainable_variables
        g_loss, gradients = keras.value_and_grad(g_objective, variables=variables)()
        self.g_optimizer.apply_gradients(zip(gradients, variables, strict=True))
        self.d_loss_metric.update_state(d_loss)
        self.g_loss_metric.update_state(g_loss)
        return {"d_loss": self.d_loss_metric.result(), "g_loss": self.g_loss_metric.result()}


x = digits()[0][0][:512]
gan = GAN(discriminator, generator, LATENT)
gan.compile(
    d_optimizer=keras.optimizers.Adam(1e-3),
    g_optimizer=keras.optimizers.Adam(1e-3),
    loss_fn=keras.losses.BinaryCrossentropy(from_logits=True),
)
history = gan.fit(x, batch_size=64, epochs=4, verbose=0)
loss = history.history["d_loss"][-1]
images = generator.predict(keras.random.normal((256, LATENT), seed=3), verbose=0)
print(f"loss {loss:.3f}, {abs(images.mean(0) - x.mean(0)).mean():.3f} from the mean image")
