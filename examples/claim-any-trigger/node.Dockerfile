FROM node:24-slim AS keybrake
WORKDIR /keybrake
RUN npm pack keybrake-gcp@0.1.0 && tar -xzf keybrake-gcp-*.tgz

FROM node:24-slim
WORKDIR /agent
RUN npm install --omit=dev resend@6.38.0
COPY --from=keybrake /keybrake/package/dist/keybrake_exec.mjs /usr/local/bin/
COPY agent.mjs .
ENTRYPOINT ["node", "/usr/local/bin/keybrake_exec.mjs", "--"]
CMD ["node", "agent.mjs"]
